"""Checks of what is given as a solver or a gradient rule."""

from difflib import get_close_matches
from inspect import isabstract
from typing import Any

from models.equilibrium.fixed_point import FixedPointSolver
from models.equilibrium.gradients import GRADIENTS, GradientRule, Unrolled


def require_solver(solver: Any) -> FixedPointSolver:
    """Return a solver as it is.

    Raises:
        ValueError: if it is none, such as its name; the message says how it is written.
    """
    written = {kind.__name__: f"{kind.__name__}(max_steps=50, tolerance=1e-3)" for kind in _kinds(FixedPointSolver)}
    _require("solver", solver, isinstance(solver, FixedPointSolver), written)
    return solver


def require_gradient(gradient: Any) -> GradientRule | Unrolled:
    """Return a gradient rule as it is.

    Raises:
        ValueError: if it is none, such as its name; the message says how it is written.
    """
    written = {name: f"GRADIENTS[{name!r}]" for name in GRADIENTS}
    _require("gradient", gradient, isinstance(gradient, (GradientRule, Unrolled)), written)
    return gradient


def _kinds(base: type[Any]) -> list[type[Any]]:
    found = [kind for child in base.__subclasses__() for kind in (child, *_kinds(child))]
    return [kind for kind in found if not isabstract(kind)]


def _require(what: str, value: object, right: bool, written: dict[str, str]) -> None:
    """Refuse a name in place of an object, and say how the object that was meant is written."""
    if right:
        return
    name = value.__name__ if isinstance(value, type) else str(value)
    by_lower = {known.lower(): known for known in written}
    near = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.4)
    choices = written[by_lower[near[0]]] if near else ", ".join(written.values())
    raise ValueError(f"{what} must be an object, got {value!r}; write {choices}")
