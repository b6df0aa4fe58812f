"""Denoiser pre-training: it removes noise, moves nothing else, and knows who can be trained so."""

import pytest
import torch

from bench.recipe import Recipe
from bench.tasks import TASKS
from bench.training.pretrain import NOISE_LEVEL, Denoiser, pretrain
from models import MODELS


def recipe(steps):
    return Recipe(steps=1, batch=2, learning_rate=1e-4, pretrain_steps=steps)


@pytest.fixture
def images():
    return TASKS["ct"].load_split(None, "train", image_shape=(24, 24), count=6, seed=0)


def make_model():
    torch.manual_seed(0)
    return MODELS["deq4ip"](channels=1)


def test_the_network_learns_to_denoise(images):
    model, losses = make_model(), []
    pretrain(model, images, recipe(40), 0, lambda step, loss: losses.append(loss))
    assert len(losses) == 40
    assert losses[0] == pytest.approx(NOISE_LEVEL**2, rel=0.1)  # near the identity, all noise is left
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])


def test_the_same_seed_gives_the_same_network_and_no_step_size_moves(images):
    found = []
    for _ in range(2):
        model = make_model()
        pretrain(model, images, recipe(2), 0)
        found.append(torch.cat([p.detach().flatten() for p in model.network.parameters()]))
        assert model.step_size.item() == 1.0
        assert not model.network.training
    assert torch.equal(*found)


def test_only_deq4ip_has_a_denoiser(images):
    assert [name for name, make in MODELS.items() if isinstance(make(channels=1), Denoiser)] == ["deq4ip"]
    with pytest.raises(TypeError, match="LuserSW has no denoiser to pre-train"):
        pretrain(MODELS["luser-sw"](channels=3), images, recipe(1), 0)
