"""One training step: loss, clipping, and what it leaves behind."""

import pytest
import torch

from bench.records.recipe import Recipe
from bench.tasks import TASKS
from bench.training.step import (
    compute_gradients,
    make_optimizer,
    optimizer_of,
    reconstruction_loss,
    set_rate,
    training_step,
)
from models import MODELS, Reconstruction
from tests.bench.brightness import Brightness

SHAPE = (12, 12)
OPERATOR = TASKS["deblur"].operator_at(SHAPE, torch.device("cpu"))


def test_the_auxiliary_loss_is_the_mean_over_stages():
    truth, zeros = torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)
    reconstruction = Reconstruction(truth, (zeros, truth))
    assert reconstruction_loss(reconstruction, truth, "final").item() == 0.0
    assert reconstruction_loss(reconstruction, truth, "aux").item() == 0.5


def test_gradients_are_clipped_to_norm_one():
    model = Brightness()
    truth = 1e3 * torch.ones(1, 3, *SHAPE)
    norm = compute_gradients(model, OPERATOR, truth, truth, "final").norm
    assert norm > 1
    assert torch.linalg.vector_norm(model.gain.grad) <= 1 + 1e-6


def test_a_step_moves_the_weights_and_clears_the_gradients():
    model, truth = Brightness(), torch.ones(1, 3, *SHAPE)
    training_step(model, make_optimizer(model), OPERATOR, truth, truth, "final")
    assert model.gain.item() != 0.5
    assert model.gain.grad is None


@pytest.mark.parametrize("kind", ["adam", "adamw"])
def test_the_step_size_moves_at_a_multiple_of_the_rate(kind):
    torch.manual_seed(0)
    model = MODELS["luser-sw"](channels=3, num_stages=2)
    recipe = Recipe(steps=1, batch=1, learning_rate=1e-3, optimizer=kind, step_size_rate=20)
    optimizer = optimizer_of(recipe, model)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    truth = torch.rand(1, 3, *SHAPE)
    compute_gradients(model, OPERATOR, OPERATOR(truth), truth, "final")
    set_rate(optimizer, recipe, 0.5)
    optimizer.step()
    moved = {name: (parameter.detach() - before[name]).abs().max() for name, parameter in model.named_parameters()}
    # Adam's first step is the rate itself, whatever the gradient.
    assert moved.pop("step_size").item() == pytest.approx(20 * recipe.rate_at(0.5), rel=1e-3)
    assert max(moved.values()).item() == pytest.approx(recipe.rate_at(0.5), rel=1e-3)
