"""Every model trains on every task."""

import pytest
import torch

from bench.tasks import TASKS
from bench.training.step import compute_gradients
from models import MODELS, POLICIES
from operators import CallCounter

SHAPE = (16, 12)


def gradients(model, task, policy="recompute"):
    torch.manual_seed(0)
    operator = CallCounter(task.operator_at(SHAPE, torch.device("cpu")))
    built = MODELS[model](channels=task.channels)
    built.policy = policy
    truth = task.load_split(None, "train", image_shape=SHAPE, count=1, seed=0)[0].image[None]
    y = task.measure(operator, truth, torch.Generator().manual_seed(0))
    operator.norm()
    operator.reset()
    report = compute_gradients(built.train(), operator, y, truth, "final")
    assert report.loss.isfinite()
    return [parameter.grad for parameter in built.parameters()], operator


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
@pytest.mark.parametrize("model", MODELS)
def test_a_training_step_has_a_gradient_and_applies_the_operator_both_ways(model, task):
    found, operator = gradients(model, task)
    assert all(gradient.isfinite().all() for gradient in found)
    assert any(gradient.any() for gradient in found)
    assert all(operator.calls[direction, "backward"] for direction in ("forward", "adjoint"))


@pytest.mark.parametrize("model", MODELS)
def test_policies_agree_on_a_non_linear_operator(model):
    paper, recompute = (gradients(model, TASKS["diffraction"], policy)[0] for policy in POLICIES)
    for one, other in zip(paper, recompute, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-5 * float(one.abs().max()) + 1e-9)
