"""The current phase of a training step, so that operator calls are counted by phase."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

Phase = Literal["reconstruct", "solve", "backward"]
PHASES: tuple[Phase, ...] = ("reconstruct", "solve", "backward")

_PHASE: ContextVar[Phase] = ContextVar("phase", default="reconstruct")
_COUNTED: ContextVar[bool] = ContextVar("counted", default=True)


def current_phase() -> Phase:
    """Return the phase of the calling thread: ``reconstruct`` unless a ``phase`` block says otherwise."""
    return _PHASE.get()


@contextmanager
def phase(name: Phase) -> Iterator[None]:
    """Mark a block of code as one phase of a training step.

    ``backward`` wins over what is nested in it: a fixed-point solve inside a backward pass belongs to the
    backward pass. Autograd runs CUDA backward passes on threads of its own, so a backward function opens its
    own block rather than relying on the caller's.

    Args:
        name: ``reconstruct``, ``solve`` (a forward fixed-point solve) or ``backward``.

    Examples:
        >>> from operators import current_phase, phase
        >>> with phase("solve"):
        ...     current_phase()
        'solve'
        >>> current_phase()
        'reconstruct'
    """
    token = _PHASE.set("backward" if _PHASE.get() == "backward" else name)
    try:
        yield
    finally:
        _PHASE.reset(token)


def is_counted() -> bool:
    """Return whether operator calls of the calling thread are counted; not in an ``uncounted`` block."""
    return _COUNTED.get()


@contextmanager
def uncounted() -> Iterator[None]:
    """Mark a block of code as no part of a training step, such as finding a norm."""
    token = _COUNTED.set(False)
    try:
        yield
    finally:
        _COUNTED.reset(token)
