"""Denoiser pre-training: it removes noise, moves nothing else, and knows who can be trained so."""

import pytest
import torch

from bench.recipe import Recipe
from bench.tasks import TASKS
from bench.training.pretrain import NOISE_LEVEL, Denoiser, pretrain
from models import MODELS
from tests.bench.brightness import Brightness

SHAPE = (24, 24)


def recipe(steps, **changes):
    return Recipe(steps=1, batch=2, learning_rate=1e-4, pretrain_steps=steps, **changes)


@pytest.fixture
def images():
    return TASKS["ct"].load_split(None, "train", image_shape=SHAPE, count=6, seed=0)


def make_model(name):
    torch.manual_seed(0)
    return MODELS[name](channels=1)


@pytest.mark.parametrize("name", MODELS)
def test_the_network_learns_to_denoise(name, images):
    model, losses = make_model(name), []
    pretrain(model, images, SHAPE, recipe(80), 0, lambda step, loss: losses.append(loss))
    assert len(losses) == 80
    assert losses[0] == pytest.approx(NOISE_LEVEL**2, rel=0.1)  # near the identity, all noise is left
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])


def test_the_same_seed_gives_the_same_network_and_no_step_size_moves(images):
    found = []
    for _ in range(2):
        model = make_model("deq4ip")
        pretrain(model, images, SHAPE, recipe(2), 0)
        found.append(torch.cat([p.detach().flatten() for p in model.network.parameters()]))
        assert model.step_size.item() == 1.0
        assert not model.network.training
    assert torch.equal(*found)


def test_it_sees_the_views_of_the_recipe(images):
    class Seen(Brightness):
        def denoise(self, noisy):
            self.seen = noisy.shape
            return noisy * self.gain

    model = Seen(channels=1)
    pretrain(model, images, (12, 10), recipe(1, augmentation=("crop",)), 0)
    assert model.seen == (2, 1, 12, 10)


def test_every_model_of_the_paper_has_a_denoiser_and_others_need_none(images):
    assert all(isinstance(make_model(name), Denoiser) for name in MODELS)
    with pytest.raises(TypeError, match="Brightness has no denoiser to pre-train"):
        pretrain(Brightness(), images, SHAPE, recipe(1), 0)
