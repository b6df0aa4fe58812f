"""What a user's own model is made of: a digest of its source, so that an edited model is another question."""

import ast
import hashlib
import importlib.util
from collections.abc import Iterator
from functools import lru_cache
from importlib.machinery import ModuleSpec
from pathlib import Path

from bench.cli import resolve_model
from models import MODELS

OURS = frozenset({"bench", "models", "operators"})
"""Packages whose changes the protocol versions tell."""


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
        click.ClickException: if the model cannot be imported.
    """
    if model in MODELS:
        return None
    resolve_model(model)  # with the working folder on the path, where a user's own model may be
    found = _covered(model.partition(":")[0])
    contents = [f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}" for name, path in sorted(found.items())]
    return hashlib.sha256("\n".join(contents).encode()).hexdigest()[:16]


def _covered(start: str) -> dict[str, Path]:
    """Return the files of a module and of what it imports of its own, by the modules' names."""
    found: dict[str, Path] = {}
    home, waiting = _file_of(start), [start]
    while waiting:
        name = waiting.pop()
        path = _file_of(name)
        if name in found or path is None:
            continue
        beside = "." not in start and "." not in name and home is not None and path.parent == home.parent
        if name != start and name.partition(".")[0] != start.partition(".")[0] and not beside:
            continue
        found[name] = path
        waiting += [wanted for wanted in _imports(name, path) if wanted.partition(".")[0] not in OURS]
    return found


def _imports(name: str, path: Path) -> Iterator[str]:
    """Yield every module that a file's import statements may name, and the packages around them."""
    around = name if path.name == "__init__.py" else name.rpartition(".")[0]
    named = [name]
    for node in ast.walk(ast.parse(path.read_bytes())) if path.suffix == ".py" else ():
        if isinstance(node, ast.Import):
            named += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = around.split(".")[: len(around.split(".")) - node.level + 1] if node.level else []
            module = ".".join((*above, *([node.module] if node.module else [])))
            named += [module, *(f"{module}.{alias.name}" for alias in node.names)]
    for module in named:
        parts = module.split(".")
        yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))


def _file_of(name: str) -> Path | None:
    try:
        spec: ModuleSpec | None = importlib.util.find_spec(name)
    except (ImportError, AttributeError, ValueError):
        return None  # a name inside a module, such as a class
    path = Path(spec.origin) if spec is not None and spec.has_location and spec.origin else None
    return path if path is not None and path.is_file() else None
