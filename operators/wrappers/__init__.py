"""Operators around an operator."""
