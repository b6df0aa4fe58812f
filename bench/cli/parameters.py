"""Types of options: names of a registry, amounts of memory, image sizes, bounded numbers."""

import difflib
import math
import re
from collections.abc import Callable, Iterable
from typing import Any

import click
from click.shell_completion import CompletionItem

_UNITS = {"B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}
_MOST_BYTES = 1024 * 2**40
_LONGEST = 200
"""Most characters of a wrong value that are shown."""
MOST_IMAGES = 1_000_000
LEAST_SIDE, MOST_SIDE = 16, 4096
"""Pixels of an image's side. The Radon transform's matrix grows with the third power of it."""


class Number(click.FloatRange):
    """A number between bounds; click's own lets nan through.

    Args:
        least: of the numbers that are taken, and
        most: of them.
        min_open: whether the least itself is refused.
    """

    def __init__(self, least: float, most: float, min_open: bool = False) -> None:
        super().__init__(least, most, min_open=min_open)
        self._told = f"a number from {least:g} to {most:g}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number, or fail with one line."""
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value} is not {self._told}", param, ctx)
        return number


# Bounds far beyond what any machine does: what is more is a slip of the finger, and would fail only after hours.
BATCH = click.IntRange(1, 65_536)
CELLS = click.IntRange(1, 1_000_000)
IMAGES = click.IntRange(1, MOST_IMAGES)
JOBS = click.IntRange(1, 1_024)
MINUTES = Number(0, 366 * 24 * 60, min_open=True)
REPEATS = click.IntRange(1, 10_000)
SECONDS = Number(0, 366 * 24 * 3600)
SEED = click.IntRange(0, 2**63 - 1)  # what torch takes as a signed number
SIDE = click.IntRange(LEAST_SIDE, MOST_SIDE)
STEPS = click.IntRange(1, 100_000_000)
TOLERANCE = Number(0, 1, min_open=True)
WEIGHT = Number(0, 1e6)
WORKERS = click.IntRange(0, 256)


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Say that a name is unknown, its nearest match and the known ones, in one line."""
    names = list(known)
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]!r}?" if near else ";"
    return f"unknown {kind} {short(name)}{hint} " + (f"known: {', '.join(names)}" if names else "none is known")


def short(value: str) -> str:
    """Quote a wrong value, without the end of a long one."""
    return repr(value if len(value) <= _LONGEST else f"{value[:_LONGEST]}...")


class Name(click.ParamType):  # type: ignore[type-arg]  # generic in new versions of click only
    """A key of a registry; the error for an unknown key lists the known ones and the nearest match.

    Args:
        kind: what the name names, for the message.
        known: returns the known names; called when an option is parsed, so that ``--help`` stays fast.
        offered: returns the names that a shell completes, if these are found faster.
    """

    def __init__(
        self, kind: str, known: Callable[[], Iterable[str]], offered: Callable[[], Iterable[str]] | None = None
    ) -> None:
        self.name = kind
        self._known = known
        self._offered = offered or known

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name, or fail with one line; while a shell completes, whatever it is."""
        if ctx is not None and ctx.resilient_parsing:
            return value
        names = list(self._known())
        if value not in names:
            raise click.ClickException(unknown(self.name, value, names))
        return value

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the names that begin so."""
        return [CompletionItem(name) for name in self._offered() if name.startswith(incomplete)]


class Bytes(click.ParamType):  # type: ignore[type-arg]  # as above
    """An amount of memory such as 10GB or 7.5GB; GB means GiB, as on graphics cards."""

    name = "size"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return bytes, or fail with one line."""
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", value)
        unit = (match[2].upper().replace("IB", "B") if match else "") or "missing"
        if match is None or unit not in _UNITS:
            raise click.ClickException(
                f"cannot read memory size {short(value)}: write a number and one of {', '.join(_UNITS)}, e.g. 10GB"
            )
        size = float(match[1]) * _UNITS[unit]
        if not 1 <= size <= _MOST_BYTES:
            raise click.ClickException(f"memory size {short(value)} must be 1B at least and 1024TB at most")
        return int(size)


class ImageSize(click.ParamType):  # type: ignore[type-arg]  # as above
    """An image size such as 256 (square) or 218x178 (height x width), in pixels."""

    name = "size"

    def convert(
        self, value: str | tuple[int, int], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Return (height, width), or fail with one line."""
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"(\d{1,9})(?:x(\d{1,9}))?", value.strip().lower())
        height, width = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not (LEAST_SIDE <= height <= MOST_SIDE and LEAST_SIDE <= width <= MOST_SIDE):
            raise click.ClickException(
                f"cannot read image size {short(value)}: write 256 or 218x178 (height x width), each side from "
                f"{LEAST_SIDE} to {MOST_SIDE} pixels"
            )
        return height, width
