"""Types of options: names of a registry, amounts of memory, image sizes."""

import difflib
import re
from collections.abc import Callable, Iterable

import click

_UNITS = {"B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Say that a name is unknown, its nearest match and the known ones, in one line."""
    names = list(known)
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]!r}?" if near else ";"
    return f"unknown {kind} {name!r}{hint} known: {', '.join(names)}"


class Name(click.ParamType):  # type: ignore[type-arg]  # generic in new versions of click only
    """A key of a registry; the error for an unknown key lists the known ones and the nearest match.

    Args:
        kind: what the name names, for the message.
        known: returns the known names; called when an option is parsed, so that ``--help`` stays fast.
    """

    def __init__(self, kind: str, known: Callable[[], Iterable[str]]) -> None:
        self.name = kind
        self._known = known

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name, or fail with one line."""
        names = list(self._known())
        if value not in names:
            raise click.ClickException(unknown(self.name, value, names))
        return value


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
                f"cannot read memory size {value!r}: write a number and one of {', '.join(_UNITS)}, e.g. 10GB"
            )
        size = int(float(match[1]) * _UNITS[unit])
        if size <= 0:
            raise click.ClickException(f"memory size {value!r} must be more than zero")
        return size


class ImageSize(click.ParamType):  # type: ignore[type-arg]  # as above
    """An image size such as 256 (square) or 218x178 (height x width), in pixels."""

    name = "size"

    def convert(
        self, value: str | tuple[int, int], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Return (height, width), or fail with one line."""
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"(\d+)(?:x(\d+))?", value.strip().lower())
        if match is None or int(match[1]) < 16 or int(match[2] or match[1]) < 16:
            raise click.ClickException(
                f"cannot read image size {value!r}: write 256 or 218x178 (height x width), 16 pixels at least"
            )
        return int(match[1]), int(match[2] or match[1])
