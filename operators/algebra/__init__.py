"""Operators made of operators: adjoints, compositions, sums, scalings and stacks."""

from operators.algebra.identity import Identity
from operators.algebra.rules import FormulaRules
from operators.algebra.sums import Stack, stack

__all__ = ["FormulaRules", "Identity", "Stack", "stack"]
