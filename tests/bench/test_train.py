"""Training and grading: seeded, careful with what is not finite, and fair."""

import math
from dataclasses import replace

import pytest
import torch

from bench.evaluate import evaluate
from bench.tasks import TASKS
from bench.train import Recipe, compute_gradients, fit, make_optimizer, reconstruction_loss, training_step
from models import MODELS, Reconstruction, ReconstructionModel

SHAPE = (12, 12)
RECIPE = Recipe(steps=3, batch=2, learning_rate=1e-3, loss="final", seed=0)


@pytest.fixture
def task():
    return TASKS["deblur"]


@pytest.fixture
def operator(task):
    return task.operator_at(SHAPE, torch.device("cpu"))


@pytest.fixture
def images(task):
    return task.load_split(None, "train", image_shape=SHAPE, count=6, seed=0)


class Brightness(ReconstructionModel):
    """x = gain * y; not finite at the steps it is told."""

    def __init__(self, channels=3, bad_steps=()):
        super().__init__(channels)
        self.gain = torch.nn.Parameter(torch.tensor(0.5))
        self.bad_steps, self.step = bad_steps, 0

    def forward(self, y, operator):
        factor = math.nan if self.training and self.step in self.bad_steps else 1.0
        self.step += self.training
        image = y * self.gain * factor + 0 * self.step_size
        return Reconstruction(image, (y, image))


def weights_after(task, operator, images, recipe, seed=0):
    torch.manual_seed(seed)
    model = MODELS["luser-sw"](channels=3, num_stages=2)
    log = fit(model, operator, task, images, recipe)
    return torch.cat([p.detach().flatten() for p in model.parameters()]), log


def test_the_same_seed_gives_the_same_weights_bit_for_bit(task, operator, images):
    first, log = weights_after(task, operator, images, RECIPE)
    second, again = weights_after(task, operator, images, RECIPE)
    assert torch.equal(first, second)
    assert log.losses == again.losses
    assert len(log.losses) == 3


def test_another_seed_gives_others(task, operator, images):
    first, _ = weights_after(task, operator, images, RECIPE)
    second, _ = weights_after(task, operator, images, Recipe(3, 2, 1e-3, "final", seed=1))
    assert not torch.equal(first, second)


def test_training_learns(task, operator, images):
    model = Brightness()
    fit(model, operator, task, images, Recipe(steps=60, batch=2, learning_rate=0.05, loss="final", seed=0))
    truth = torch.stack([images[index].image for index in range(len(images))])
    y = operator(truth)
    best = (truth * y).sum() / y.square().sum()
    assert model.gain.item() == pytest.approx(best.item(), rel=0.1)


def test_steps_that_are_not_finite_are_skipped_and_counted(task, operator, images):
    model = Brightness(bad_steps=(1,))
    log = fit(model, operator, task, images, Recipe(steps=20, batch=2, learning_rate=0.01, loss="final", seed=0))
    assert log.skipped == 1
    assert math.isnan(log.losses[1])
    assert not log.diverged
    assert model.gain.isfinite()


def test_a_run_of_skipped_steps_has_diverged(task, operator, images):
    model = Brightness(bad_steps=range(20))
    log = fit(model, operator, task, images, Recipe(steps=20, batch=2, learning_rate=0.01, loss="final", seed=0))
    assert log.diverged
    assert len(log.losses) == log.skipped == 3  # more than a tenth of 20: there it ends
    assert model.gain.item() == 0.5


def test_the_fixed_points_of_a_run_leave_a_trace(task, operator, images):
    _, log = weights_after(task, operator, images, RECIPE)
    assert [point.step for point in log.solver_trace] == [0, 1, 2]
    for point in log.solver_trace:
        for values in (point.forward_steps, point.backward_steps, point.forward_residuals, point.backward_residuals):
            assert len(values) == 2
            assert all(math.isfinite(value) for value in values)
        assert min(*point.forward_steps, *point.backward_steps) >= 1


def test_the_trace_stays_short_in_a_long_run(task, operator, images):
    log = fit(MODELS["deq4ip"](channels=3), operator, task, images, replace(RECIPE, steps=103, batch=1))
    assert 50 <= len(log.solver_trace) <= 100
    assert log.solver_trace[1].step == 2


def test_models_without_fixed_points_leave_no_trace(task, operator, images):
    assert fit(Brightness(), operator, task, images, RECIPE).solver_trace == []


def test_the_jacobian_penalty_changes_the_training_of_models_with_fixed_points_only(task, operator, images):
    recipe = replace(RECIPE, steps=30)
    heavy = replace(recipe, jacobian_weight=1e3)
    plain, _ = weights_after(task, operator, images, recipe)
    paid, log = weights_after(task, operator, images, heavy)
    assert not torch.equal(plain, paid)
    assert all(math.isfinite(loss) for loss in log.losses)
    gains = []
    for one in (recipe, heavy):
        model = Brightness()
        fit(model, operator, task, images, one)
        gains.append(model.gain.item())
    assert gains[0] == gains[1]


def test_the_auxiliary_loss_is_the_mean_over_stages():
    truth, zeros = torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)
    reconstruction = Reconstruction(truth, (zeros, truth))
    assert reconstruction_loss(reconstruction, truth, "final").item() == 0.0
    assert reconstruction_loss(reconstruction, truth, "aux").item() == 0.5


def test_gradients_are_clipped_to_norm_one(operator):
    model = Brightness()
    truth = 1e3 * torch.ones(1, 3, *SHAPE)
    norm = compute_gradients(model, operator, truth, truth, "final").norm
    assert norm > 1
    assert torch.linalg.vector_norm(model.gain.grad) <= 1 + 1e-6


def test_a_step_moves_the_weights_and_clears_the_gradients(operator):
    model, truth = Brightness(), torch.ones(1, 3, *SHAPE)
    training_step(model, make_optimizer(model), operator, truth, truth, "final")
    assert model.gain.item() != 0.5
    assert model.gain.grad is None


def test_grading_is_the_same_for_every_model_and_order(task, operator, images):
    first = evaluate(Brightness(), operator, task, images)
    second = evaluate(MODELS["luser-sw"](channels=3, num_stages=1), operator, task, images)
    assert [i.start_psnr_db for i in first.items] == [i.start_psnr_db for i in second.items]
    assert [i.name for i in first.items] == [images[index].name for index in range(len(images))]
    assert len(second.solver_steps) == len(second.warm_solver_steps) == len(second.residuals) == 1
    assert first.solver_steps == first.warm_solver_steps == ()
    assert set(first.example) == {"start", "reconstruction", "truth"}
    assert all(image.shape == (3, *SHAPE) for image in first.example.values())
