"""Another commit's files beside the checkout. Never imports torch."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from bench.regression.baseline import ROOT


@contextmanager
def checked_out(commit: str, root: Path = ROOT) -> Iterator[Path]:
    """Check a commit out into a temporary folder, which is deleted afterwards.

    Args:
        commit: a hash, a branch or a tag.
        root: the repository.

    Raises:
        click.ClickException: if there is no repository, or no such commit.
    """
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        _git(root, "worktree", "add", "--detach", str(tree), f"{commit}^{{commit}}")
        try:
            yield tree
        finally:
            _git(root, "worktree", "remove", "--force", str(tree))


def _git(root: Path, *arguments: str) -> None:
    git = shutil.which("git")
    if git is None:
        raise click.ClickException("--against needs git, which is not installed")
    ended = subprocess.run([git, *arguments], cwd=root, capture_output=True, text=True, check=False)  # noqa: S603  # no shell
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or ["no message"])[-1]
        raise click.ClickException(f"git {arguments[0]} {arguments[1]}: {last}")
