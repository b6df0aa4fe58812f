"""What CONTRIBUTING.md tells to use is offered by the package that it belongs to."""

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
NAMES = sorted({match.rpartition(".")[2] for match in re.findall(r"`([A-Za-z][\w.]*)(?:\(\))?`", TEXT)})
IN_FILES = sorted(set(re.findall(r"`([A-Za-z]\w*)`\s+\(`((?:bench|models|operators)/[\w/]+)\.py`\)", TEXT)))
PACKAGES = ("models", "operators")


def defined_in(package):
    """All public names that a package's modules define at their top."""
    found = set()
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
                found.add(node.name)
            elif isinstance(node, (ast.Assign, ast.AnnAssign)):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                found.update(target.id for target in targets if isinstance(target, ast.Name))
    return {name for name in found if not name.startswith("_")}


@pytest.mark.parametrize("package", PACKAGES)
def test_names_of_the_guide_are_public(package):
    named = defined_in(package).intersection(NAMES)
    offered = import_module(package)
    assert len(named) >= 6  # that something was found
    assert named <= set(offered.__all__)
    assert all(hasattr(offered, name) for name in offered.__all__)


@pytest.mark.parametrize(("name", "path"), IN_FILES)
def test_names_with_a_file_are_in_it(name, path):
    assert hasattr(import_module(path.replace("/", ".")), name)


@pytest.mark.parametrize("package", [*PACKAGES, "bench.records", "bench.tasks", "bench.cli", "bench.data.audits"])
def test_lists_of_public_names_are_sorted_and_true(package):
    offered = import_module(package)
    assert len(set(offered.__all__)) == len(offered.__all__)
    assert all(hasattr(offered, name) for name in offered.__all__)
