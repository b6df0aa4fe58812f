"""The examples in docstrings of operators and models are true, and the main names have one."""

import doctest
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

import models
import operators

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for package in ("operators", "models")
    for path in (ROOT / package).rglob("*.py")
    if "    >>> " in path.read_text()
)
SHOWN = {
    operators: (
        "CallCounter",
        "Diffraction",
        "GaussianBlur",
        "Identity",
        "NonlinearOperator",
        "Radon",
        "Slowed",
        "SubsampledFourier",
        "from_deepinv",
        "from_scipy",
        "phase",
        "stack",
        "to_scipy",
    ),
    models: (
        *("Anderson", "Broyden", "DEQ4IP", "LuDnCNN", "LuserDW", "Phantom", "Picard"),
        *("fixed_point", "gradient_step", "parameter_counts", "starting_image"),
    ),
}
NEEDS = {"operators.bridges.deepinv": "deepinv"}


@pytest.mark.parametrize("name", MODULES)
def test_examples_are_true(name):
    if name in NEEDS and find_spec(NEEDS[name]) is None:
        pytest.skip(f"{NEEDS[name]} is not installed")
    finder = doctest.DocTestFinder(exclude_empty=True)
    tests = [test for test in finder.find(import_module(name)) if test.examples]
    assert tests
    runner = doctest.DocTestRunner(optionflags=doctest.FAIL_FAST)
    for test in tests:
        assert runner.run(test).failed == 0, f"{test.name}: see what was printed"


@pytest.mark.parametrize(("package", "name"), [(package, name) for package in SHOWN for name in SHOWN[package]])
def test_main_names_have_an_example(package, name):
    assert "Examples:" in getattr(package, name).__doc__
