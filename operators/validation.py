"""Checks of operators' arguments: a clear ValueError in place of a wrong image or a late error."""

import difflib
import math
import operator
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

REAL_DTYPES = (torch.float32, torch.float64)
COMPLEX_DTYPES = (torch.complex64, torch.complex128)

_Choice = TypeVar("_Choice", bound=str)


def require_image_size(image_shape: Sequence[int]) -> tuple[int, int]:
    """Return ``image_shape`` as a pair of plain ints.

    Args:
        image_shape: (H, W) in pixels.

    Raises:
        ValueError: unless these are two positive integers.
    """
    try:
        height, width = (operator.index(size) for size in image_shape)
    except (TypeError, ValueError) as error:
        raise ValueError(f"image_shape must be two integers (H, W), got {image_shape!r}") from error
    if height < 1 or width < 1:
        raise ValueError(f"image_shape must be positive, got {(height, width)}")
    return height, width


def require_count(name: str, value: int) -> int:
    """Return ``value`` as a plain int.

    Args:
        name: what the message calls it.
        value: how many there are.

    Raises:
        ValueError: unless it is a positive integer.
    """
    try:
        count = operator.index(value)
    except TypeError as error:
        raise ValueError(f"{name} must be an integer, at least 1, got {value!r}") from error
    if count < 1:
        raise ValueError(f"{name} must be at least 1, got {count}")
    return count


def require_number(name: str, value: float, *, above: float | None = None, at_least: float = -math.inf) -> float:
    """Return ``value`` as it is.

    Args:
        name: what the message calls it.
        value: a real number.
        above: bound that it must exceed.
        at_least: its smallest value.

    Raises:
        ValueError: unless it is a finite number within these bounds.
    """
    bound = f", above {above:g}" if above is not None else f", at least {at_least:g}" if at_least > -math.inf else ""
    try:
        valid = math.isfinite(value) and (value >= at_least if above is None else value > above)
    except TypeError:
        valid = False
    if not valid:
        raise ValueError(f"{name} must be a finite number{bound}, got {value!r}")
    return value


def require_dtype(tensor: Tensor, allowed: tuple[torch.dtype, ...], what: str) -> None:
    """Refuse a precision that an operator does not compute in.

    Args:
        tensor: what was passed.
        allowed: dtypes that are computed in.
        what: how the message calls the tensor.

    Raises:
        ValueError: if the tensor's dtype is none of ``allowed``.
    """
    if tensor.dtype not in allowed:
        names = " or ".join(str(dtype).removeprefix("torch.") for dtype in allowed)
        raise ValueError(f"expected a {what} of {names}, got {str(tensor.dtype).removeprefix('torch.')}")


def require_choice(name: str, value: _Choice, choices: Sequence[_Choice]) -> _Choice:
    """Return ``value`` if it is one of the choices.

    Args:
        name: what the message calls it.
        value: what was passed.
        choices: all that is valid.

    Raises:
        ValueError: if it is none of them; the message names the nearest.
    """
    if value not in choices:
        near = difflib.get_close_matches(str(value).lower(), choices, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}{hint}")
    return value
