"""Operators that wrap an operator."""
