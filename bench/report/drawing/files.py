"""Writes files that are whole or absent, and the same bytes on every rendering."""

import os
from pathlib import Path

from matplotlib.figure import Figure

DPI = 200


def save_text(path: Path, text: str) -> None:
    """Write a file as UTF-8 with Unix line ends, whole or not at all."""
    _replace(path, text.encode("utf-8"))


def save_figure(path: Path, figure: Figure) -> None:
    """Write a PNG without the metadata that differs between machines and versions."""
    temporary = path.with_suffix(".tmp")
    figure.savefig(temporary, format="png", dpi=DPI, metadata={"Software": None})
    temporary.replace(path)


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(content)
    os.replace(temporary, path)
