"""Digest of the source of a user's own model, so that an edited model is another question."""

import ast
import hashlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from importlib.machinery import ModuleSpec
from pathlib import Path

import click

from bench.cli.user_model import resolve_model
from models import MODELS

OURS = frozenset({"bench", "models", "operators"})
"""Packages whose changes are covered by protocol versions."""


@lru_cache(maxsize=64)
def code_of(model: str) -> str | None:
    """Return a digest of a user's own model's source, or None for an entry of ``MODELS``, which the protocol covers.

    Covered are the module's file and, step by step, the files that ``import`` statements of covered files name in the
    same top-level package; for a module without a package, in the same folder. What is imported by other means, what is
    installed beside it and what it reads from files is not covered; ``--force`` measures again. Each process looks
    once.

    Args:
        model: key of ``MODELS`` or ``package.module:Model``.

    Returns:
        Sixteen hexadecimal digits, the same wherever the package lies.

    Raises:
        click.ClickException: if the model cannot be imported, or has no source file.
    """
    if model in MODELS:
        return None
    resolve_model(model)  # with the working folder on the path, where a user's own model may be
    return digest_around(model)


def digest_around(name: str) -> str:
    """Return the digest that ``code_of`` speaks of, for any ``package.module:name`` that was imported.

    Raises:
        click.ClickException: if its module has no source file.
    """
    start, home = name.partition(":")[0], source_of(name)

    def covers(name: str, path: Path) -> bool:
        beside = "." not in start and "." not in name and path.parent == home.parent
        return _package(name) not in OURS and (_package(name) == _package(start) or beside)

    return digest_of([start], covers)[:16]


def source_of(name: str) -> Path:
    """Return the file of the module of ``package.module:name``, which was imported.

    Raises:
        click.ClickException: if it has none.
    """
    home = _file_of(name.partition(":")[0])
    if home is None:
        raise click.ClickException(f"{name!r} has no source file, which is needed to detect edits")
    return home


@lru_cache(maxsize=8)
def our_code(*starts: str) -> str:
    """Return a digest of modules of ours and of all of ours that they import, step by step.

    Args:
        starts: such as ``bench.tasks``.
    """
    return digest_of(starts, lambda name, _: _package(name) in OURS)


def digest_of(starts: Sequence[str], covers: Callable[[str, Path], bool]) -> str:
    """Return the SHA-256 of some modules' files and of the files that their ``import`` statements name, step by step.

    Args:
        starts: modules that are covered in any case.
        covers: (module, its file) -> whether an imported one is covered.

    Returns:
        64 hexadecimal digits, the same wherever the files lie.
    """
    found: dict[str, Path] = {}
    waiting = list(starts)
    while waiting:
        name = waiting.pop()
        path = None if name in found else _file_of(name)
        if path is None or not (name in starts or covers(name, path)):
            continue
        found[name] = path
        waiting += _imports(name, path)
    contents = [f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}" for name, path in sorted(found.items())]
    return hashlib.sha256("\n".join(contents).encode()).hexdigest()


def _package(name: str) -> str:
    return name.partition(".")[0]


def _imports(name: str, path: Path) -> Iterator[str]:
    """Yield every module that a file's import statements may name, and the packages around them."""
    around = name if path.name == "__init__.py" else name.rpartition(".")[0]
    named = [name]
    for node in _nodes(path):
        if isinstance(node, ast.Import):
            named += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = around.split(".")[: len(around.split(".")) - node.level + 1] if node.level else []
            module = ".".join((*above, *([node.module] if node.module else [])))
            named += [module, *(f"{module}.{alias.name}" for alias in node.names)]
    for module in named:
        parts = module.split(".")
        yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))


def _nodes(path: Path) -> Iterator[ast.AST]:
    """Yield what a file of source consists of; nothing of one that Python cannot read, which imports nothing."""
    if path.suffix == ".py":
        with suppress(SyntaxError, ValueError, RecursionError, MemoryError):
            yield from ast.walk(ast.parse(path.read_bytes()))


def _file_of(name: str) -> Path | None:
    try:
        spec: ModuleSpec | None = importlib.util.find_spec(name)
    except (ImportError, AttributeError, ValueError):
        return None  # a name inside a module, such as a class
    path = Path(spec.origin) if spec is not None and spec.has_location and spec.origin else None
    return path if path is not None and path.is_file() else None
