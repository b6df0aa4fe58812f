"""The layout: few commands directly in bench, short files and functions, and no circular import."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = [path.relative_to(ROOT) for top in ("bench", "models", "operators") for path in (ROOT / top).rglob("*.py")]
MODULES = {".".join(path.with_suffix("").parts).removesuffix(".__init__"): path for path in FILES}
DOORS = {"__init__.py", "__main__.py"}
"""What a folder offers to others, and its command: they may import everything in the folder."""


def imported(path: Path) -> Iterator[str]:
    """Yield the modules of ours that a file imports, wherever in it."""
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from (name if name in MODULES else node.module for name in names)


def folder_of(module: str) -> str:
    path = MODULES[module]
    return ".".join(path.parent.parts)


INNER = {name: set(imported(path)) - {name} for name, path in MODULES.items() if path.name not in DOORS}


def test_few_modules_lie_directly_in_bench():
    assert len(list((ROOT / "bench").glob("*.py"))) <= 14


@pytest.mark.parametrize("path", [*FILES, *((p.relative_to(ROOT)) for p in (ROOT / "tests").rglob("*.py"))], ids=str)
def test_files_are_short(path):
    assert len((ROOT / path).read_text().splitlines()) <= 250


def length_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines from ``def`` to the end, without the docstring."""
    lines = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function) is None:
        return lines
    docstring = function.body[0]
    return lines - (docstring.end_lineno - docstring.lineno + 1)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_functions_are_short(path):
    functions = (
        node
        for node in ast.walk(ast.parse((ROOT / path).read_text()))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    )
    long = {f"{path.as_posix()}:{function.name}" for function in functions if length_of(function) >= 40}
    assert not long


def test_no_module_imports_itself_through_others():
    order_of(INNER)


def test_no_folder_imports_itself_through_others():
    folders: dict[str, set[str]] = {}
    for module, names in INNER.items():
        folders.setdefault(folder_of(module), set()).update(folder_of(name) for name in names)
    order_of({folder: names - {folder} for folder, names in folders.items()})


def order_of(graph: dict[str, set[str]]) -> None:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))
