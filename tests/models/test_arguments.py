"""Every number that a solver, a gradient rule, a model or one of its parts takes is checked when it is given."""

import inspect
from dataclasses import fields

import pytest
import torch

from models import MODELS, SOLVERS, EquilibriumModel, Phantom, Unrolled
from models.networks import DnCNN, EquilibriumBlock, StageBatchNorm
from models.spectral import SpectralNorm
from operators import GaussianBlur

RIGHT = {"max_steps": 5, "tolerance": 1e-3}
OBJECTS = {**SOLVERS, "phantom": Phantom, "unrolled": Unrolled}
MODULES = {**MODELS, "batch-norm": StageBatchNorm, "dncnn": DnCNN, "block": EquilibriumBlock}
MODULE_NUMBERS = {"channels": 1, "num_stages": 2, "stages": 2, "features": 8, "last_scale": 1.0}

NEVER = [float("nan"), float("inf"), -float("inf"), "3", None, [1], 1j]
COUNTS = [0, -1, 1.5, *NEVER]
SIZES = [-1.0, -1e-300, *NEVER]
STRICT = {"mixing", "damping"}
"""Real numbers that can't be zero."""


def wrong(name, kind):
    """Values of a number that no call may take."""
    if name == "last_scale":  # any finite number
        return NEVER
    if "int" in kind:
        return [value for value in COUNTS if not (value is None and "None" in kind)]
    return SIZES + [0.0] * (name in STRICT)


def cases():
    for name, make in OBJECTS.items():
        for field in fields(make):
            for value in wrong(field.name, str(field.type)):
                yield make, {key: RIGHT[key] for key in RIGHT if name in SOLVERS}, field.name, value
    for make in MODULES.values():
        numbers = [key for key in inspect.signature(make).parameters if key in MODULE_NUMBERS]
        for key in numbers:
            for value in wrong(key, type(MODULE_NUMBERS[key]).__name__):
                yield make, {other: MODULE_NUMBERS[other] for other in numbers if other != key}, key, value


@pytest.mark.parametrize(("make", "others", "name", "value"), list(cases()))
def test_what_can_not_be_is_refused_in_one_line_that_says_what_can(make, others, name, value):
    with pytest.raises(
        ValueError, match=rf"^{name} must be (an integer|a finite number)?.*(at least|above|got)"
    ) as refusal:
        make(**{**others, name: value})
    assert "\n" not in str(refusal.value)


def test_every_number_of_a_model_is_among_them():
    for make in MODULES.values():
        for parameter in inspect.signature(make).parameters.values():
            assert parameter.annotation not in ("int", "float", int, float) or parameter.name in MODULE_NUMBERS


@pytest.mark.parametrize("value", [1.5, 2.0])
def test_a_phantom_is_damped_by_one_at_most(value):
    with pytest.raises(ValueError, match=f"damping must be at most 1, got {value}"):
        Phantom(damping=value)


def test_the_smallest_choices_are_taken():
    for name in SOLVERS:
        assert SOLVERS[name](max_steps=1, tolerance=0, check_every=1)
    assert Unrolled(1).steps == 1
    assert SOLVERS["anderson"](max_steps=1, tolerance=0, history=1, ridge=0, mixing=1e-9)


@pytest.mark.parametrize("name", [name for name in MODELS if isinstance(MODELS[name](1), EquilibriumModel)])
def test_a_penalty_is_on_a_stage_that_there_is(name):
    operator = GaussianBlur((8, 8), channels=1)
    model = MODELS[name](1, **({} if name == "deq4ip" else {"num_stages": 2}))
    y = torch.rand(1, 1, 8, 8)
    result = model(y, operator)
    for stage in (-1, len(result.stages)):
        with pytest.raises(
            ValueError, match=f"stage must be at least 0 and at most {len(result.stages) - 1}, got {stage}"
        ):
            model.jacobian_penalty(y, operator, result, stage=stage)


@pytest.mark.parametrize("iterations", [0, -1, 1.5])
def test_singular_vectors_move_at_least_once(iterations):
    network = EquilibriumBlock(1)
    with pytest.raises(ValueError, match="iterations must be"):
        SpectralNorm(network).update(network, iterations)
