"""One training step: loss, clipping, and what it leaves behind."""

import torch

from bench.tasks import TASKS
from bench.training.step import compute_gradients, make_optimizer, reconstruction_loss, training_step
from models import Reconstruction
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
