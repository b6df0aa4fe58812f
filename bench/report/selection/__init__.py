"""Which records a table or a figure is of."""
