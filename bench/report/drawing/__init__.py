"""Drawing and formatting shared by all tables and figures."""
