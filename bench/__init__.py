"""Benchmark of memory-efficient learned image reconstruction; see README.md."""

import sys
from pathlib import Path

DISTRIBUTION = "memory-efficient-reconstruction-benchmark"


def __getattr__(name: str) -> str:
    """Return ``__version__``, which is looked up only where somebody asks for it."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _version()


def _version() -> str:
    """Return the version: a checkout's ``pyproject.toml`` says it, else what pip installed."""
    from importlib.metadata import PackageNotFoundError, version

    path = Path(__file__).parents[1] / "pyproject.toml"
    if path.is_file() and (found := _version_in(path)) is not None:
        return found
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "unknown"


def _version_in(path: Path) -> str | None:
    """Return the version in a ``pyproject.toml``; None if it is another project's."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    project = tomllib.loads(path.read_text(encoding="utf-8")).get("project", {})
    return str(project["version"]) if project.get("name") == DISTRIBUTION else None
