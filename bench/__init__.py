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

    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    path = Path(__file__).parents[1] / "pyproject.toml"
    project = tomllib.loads(path.read_text(encoding="utf-8")).get("project", {}) if path.is_file() else {}
    if project.get("name") == DISTRIBUTION:
        return str(project["version"])
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "unknown"
