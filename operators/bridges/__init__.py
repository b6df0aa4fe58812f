"""Operators from and to other libraries'."""
