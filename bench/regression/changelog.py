"""A new baseline wants a line in the changelog."""

import textwrap
from collections.abc import Iterable
from pathlib import Path

import click

from bench.records.files import write_atomically
from bench.regression.baseline import file_digest

WIDTH = 120
CHANGED = "### Changed"


def require_line(path: Path, recorded: Iterable[str], text: str | None) -> None:
    """Add a line to the changelog; without one, refuse unless the changelog changed since the baseline was written.

    Args:
        path: the changelog.
        recorded: its digests in the baselines that are to be replaced.
        text: the line; None for none.

    Raises:
        click.ClickException: if it is refused, or there is no changelog with a section.
    """
    if not path.is_file():
        raise click.ClickException(f"{path}: there is no changelog")
    if text is not None:
        write_atomically(path, with_line(path.read_text(encoding="utf-8"), text).encode())
    elif file_digest(path) in set(recorded):
        raise click.ClickException(
            f"{path} has not changed since the baseline was written: say there why the figures moved, "
            'or give --changelog "the reason"'
        )


def with_line(content: str, text: str) -> str:
    """Return a changelog with a list item more, among what changed in its first section.

    Args:
        content: Markdown with sections of the second level, as of keepachangelog.com: the item goes to the end of the
            first section's part ``### Changed``, which is added if there are other parts only.
        text: the item's.

    Raises:
        click.ClickException: if there is no section, or no text.
    """
    lines = content.splitlines()
    sections = [place for place, line in enumerate(lines) if line.startswith("## ")]
    if not sections or not text.strip():
        raise click.ClickException("the changelog has no section '## ...' to add to" if text.strip() else "empty line")
    end = sections[1] if len(sections) > 1 else len(lines)
    parts = [place for place in range(sections[0], end) if lines[place].startswith("### ")]
    changed = next((place for place in parts if lines[place].strip() == CHANGED), None)
    if changed is not None:
        end = next((place for place in parts if place > changed), end)
    while not lines[end - 1].strip():
        end -= 1
    item = textwrap.fill(text.strip(), WIDTH, initial_indent="- ", subsequent_indent="  ").splitlines()
    heading = ["", CHANGED] if parts and changed is None else []
    in_list = lines[end - 1].startswith(("- ", "  ")) and not heading
    lines[end:end] = [*heading, *([] if in_list else [""]), *item]
    return "\n".join(lines) + "\n"
