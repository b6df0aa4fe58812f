"""Denoiser pre-training: it removes noise, moves nothing else, and knows who can be trained so."""

from dataclasses import replace

import pytest
import torch

from bench.records.recipe import Recipe
from bench.tasks import TASKS
from bench.training.pretrain import NOISE_LEVEL, Denoiser, Pretraining, pretrain
from models import MODELS
from tests.bench.brightness import Brightness
from tests.models.kinds import DENOISERS
from tests.models.test_models import PAPER_STAGES

SHAPE = (24, 24)


def recipe(steps, **changes):
    return Recipe(steps=1, batch=2, learning_rate=1e-4, pretrain_steps=steps, **changes)


def run_of(model, images, recipe, shape=SHAPE, **options):
    return Pretraining(model=model, images=images, image_shape=shape, recipe=recipe, **options)


@pytest.fixture
def images():
    return TASKS["ct"].load_split(None, "train", image_shape=SHAPE, count=6, seed=0)


def make_model(name):
    torch.manual_seed(0)
    return MODELS[name](channels=1)


@pytest.mark.parametrize("name", DENOISERS)
def test_the_network_learns_to_denoise(name, images):
    seen = []
    losses = pretrain(run_of(make_model(name), images, recipe(80)), lambda log: seen.append(log.step)).losses
    assert seen == list(range(1, 81))
    assert losses[0] == pytest.approx(NOISE_LEVEL**2, rel=0.1)  # near the identity, all noise is left
    most = 0.5 if name in PAPER_STAGES else 1.0  # a smaller network may learn more slowly
    assert sum(losses[-5:]) < most * sum(losses[:5])


def test_the_same_seed_gives_the_same_network_and_no_step_size_moves(images):
    found = []
    for _ in range(2):
        model = make_model("deq4ip")
        pretrain(run_of(model, images, recipe(2)))
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
    pretrain(run_of(model, images, recipe(1, augmentation=("crop",)), (12, 10)))
    assert model.seen == (2, 1, 12, 10)


def test_its_own_window_and_batch_are_what_it_sees(images):
    class Seen(Brightness):
        def denoise(self, noisy):
            self.seen = noisy.shape
            return noisy * self.gain

    model = Seen(channels=1)
    pretrain(run_of(model, images, recipe(1, pretrain_window=16, pretrain_batch=3)))
    assert model.seen == (3, 1, 16, 16)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_interrupted_denoiser_ends_with_the_same_bits(images, tmp_path, precision):
    def flat(model):
        return torch.cat([tensor.flatten().float() for tensor in model.state_dict().values()])

    class Interrupted(Exception):
        pass

    def stop(log):
        if log.step == 3:
            raise Interrupted

    whole, broken, resumed = (make_model("lu-dncnn") for _ in range(3))
    options = {"precision": precision}
    log = pretrain(run_of(whole, images, recipe(5), **options))
    options |= {"checkpoint": tmp_path / "denoiser.safetensors", "checkpoint_s": 0.0}
    with pytest.raises(Interrupted):
        pretrain(run_of(broken, images, recipe(5), **options), stop)
    steps = []
    again = pretrain(run_of(resumed, images, recipe(5), **options), lambda log: steps.append(log.step))
    assert steps[0] in (3, 4)  # it was interrupted before the third step was stored
    assert torch.equal(flat(whole), flat(resumed))
    assert log.losses == again.losses


def test_a_skipped_step_leaves_no_trace_in_batch_norms_statistics(images):
    class Spoilt:
        """One pixel of one batch is not a number."""

        def __len__(self):
            return len(images)

        def __getitem__(self, index):
            item = images[index]
            image = item.image.clone()
            image[0, 3, 3] = float("nan")
            return replace(item, image=image)

    model = make_model("lu-dncnn")
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    log = pretrain(run_of(model, Spoilt(), recipe(2)))
    assert log.skipped == 2
    for name, buffer in model.named_buffers():
        assert torch.equal(buffer, before[name]), name


def test_solvers_are_the_recipes_while_it_learns(images):
    model, met = make_model("luser-sw"), []
    own = model.solver
    changes = {"tolerance": 0.1, "solver_steps": 2}
    pretrain(run_of(model, images, recipe(1, **changes)), lambda log: met.append(model.solver))
    assert [(solver.tolerance, solver.max_steps) for solver in met] == [(0.1, 2)]
    assert model.solver is own


def test_every_model_of_the_paper_has_a_denoiser_and_others_need_none(images):
    assert all(isinstance(make_model(name), Denoiser) for name in PAPER_STAGES)
    with pytest.raises(TypeError, match="Brightness has no denoiser to pre-train"):
        pretrain(run_of(Brightness(), images, recipe(1)))
