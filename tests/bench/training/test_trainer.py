"""Training: seeded, resumable bit for bit, careful with what is not finite, alone or with others."""

import math
from dataclasses import replace

import pytest
import torch

from bench.training.trainer import fit
from bench.training.validation import Validation, validate
from models import MODELS, EquilibriumModel
from tests.bench.brightness import Brightness
from tests.bench.small_runs import FULL, OPERATOR, SHAPE, TASK, flat, luser, recipe, run_of, split, trained


def test_the_same_seed_gives_the_same_weights_bit_for_bit():
    (first, log), (second, again) = (trained(recipe(**FULL)) for _ in range(2))
    assert torch.equal(flat(first), flat(second))
    assert log.losses == again.losses
    assert len(log.losses) == 3


def test_another_seed_gives_others():
    (first, _), (second, _) = (trained(recipe(), seed=seed) for seed in (0, 1))
    assert not torch.equal(flat(first), flat(second))


def test_training_learns():
    model = Brightness()
    fit(run_of(model, recipe(steps=60, learning_rate=0.05)))
    images = split("train")
    truth = torch.stack([images[index].image for index in range(len(images))])
    y = OPERATOR(truth)
    best = (truth * y).sum() / y.square().sum()
    assert model.gain.item() == pytest.approx(best.item(), rel=0.1)


def test_steps_that_are_not_finite_are_skipped_and_counted():
    model, log = trained(recipe(steps=20, learning_rate=0.01), Brightness(bad_steps=(1,)))
    assert log.skipped == 1
    assert math.isnan(log.losses[1])
    assert not log.diverged
    assert model.gain.isfinite()


def test_a_run_of_skipped_steps_has_diverged():
    model, log = trained(recipe(steps=20, learning_rate=0.01), Brightness(bad_steps=range(20)))
    assert log.diverged
    assert len(log.losses) == log.skipped == 3  # more than a tenth of 20: there it ends
    assert model.gain.item() == 0.5


def test_the_fixed_points_of_a_run_leave_a_trace():
    _, log = trained(recipe())
    assert [point.step for point in log.solver_trace] == [0, 1, 2]
    for point in log.solver_trace:
        for values in (point.forward_steps, point.backward_steps, point.forward_residuals, point.backward_residuals):
            assert len(values) == 2
            assert all(math.isfinite(value) for value in values)
        assert min(*point.forward_steps, *point.backward_steps) >= 1


def test_the_trace_stays_short_in_a_long_run():
    _, log = trained(recipe(steps=103, batch=1), MODELS["luser-sw"](channels=3, num_stages=1))
    assert len(log.solver_trace) == 100
    assert log.solver_trace[-1].step == 102


def test_models_without_fixed_points_leave_no_trace():
    _, log = trained(recipe(), Brightness())
    assert log.solver_trace == []


def test_the_jacobian_penalty_changes_the_training_of_models_with_fixed_points_only():
    plain, _ = trained(recipe(steps=30))
    paid, log = trained(recipe(steps=30, jacobian_weight=1e3))
    assert not torch.equal(flat(plain), flat(paid))
    assert all(math.isfinite(loss) for loss in log.losses)
    gains = [trained(recipe(jacobian_weight=weight), Brightness())[0].gain.item() for weight in (0.0, 1e3)]
    assert gains[0] == gains[1]


def test_the_jacobian_penalty_draws_a_stage_for_every_step(monkeypatch):
    drawn = []

    def penalty(self, y, operator, result, *, stage, generator):
        drawn.append(stage)
        return result.image.sum() * 0.0

    monkeypatch.setattr(EquilibriumModel, "jacobian_penalty", penalty)
    trained(recipe(steps=30, batch=1, jacobian_weight=1.0), MODELS["luser-dw"](channels=3, num_stages=3))
    assert len(drawn) == 30
    assert set(drawn) == {0, 1, 2}


def test_the_best_weights_by_validation_are_kept():
    # The rate is far too high at first: the first weights are the best.
    model = Brightness()
    images = Validation(split("validation"), OPERATOR)
    run = run_of(model, recipe(steps=8, learning_rate=3.0, validations=8), validation=images)
    log = fit(run)
    scores = [point.psnr_db for point in log.validation_trace]
    assert [point.step for point in log.validation_trace] == list(range(1, 9))
    assert log.chosen_step == 1 + scores.index(max(scores))
    assert log.chosen_step < 8
    again = Brightness()
    fit(run_of(again, recipe(steps=8, learning_rate=3.0, validations=8), validation=images))
    assert again.gain.item() == model.gain.item()


def test_a_window_is_trained_and_whole_images_validate():
    small = recipe(augmentation=("crop",), window=0.5, validations=1)
    whole = Validation(split("validation", 2), OPERATOR)
    model, log = trained(small, validation=whole)
    assert small.view_shape(SHAPE) == (6, 6)
    assert log.best_psnr_db == validate(model, TASK, whole)[0]


def test_windows_follow_one_another():
    seen = []

    class Seen(Brightness):
        def forward(self, y, operator):
            seen.append(tuple(y.shape[-2:]))
            return super().forward(y, operator)

    windows = ({"until": 0.5, "side": 4}, {"until": 0.75, "side": 8, "shrunk": True}, {"until": 1})
    fit(run_of(Seen(), recipe(steps=4, windows=windows)))
    assert seen == [(4, 4), (4, 4), (8, 8), SHAPE]


def test_solvers_are_the_recipes_in_training_and_the_models_own_afterwards():
    model = luser()
    own, met = model.solver, []

    def watch(log, done):
        met.append((model.solver, model.backward_solver))

    fit(run_of(model, recipe(steps=1, tolerance=0.02, backward_tolerance=0.005, solver_steps=3)), watch)
    ((forward, backward),) = met
    assert (forward.tolerance, forward.max_steps, backward.tolerance, backward.max_steps) == (0.02, 3, 0.005, 3)
    assert model.solver is own
    assert model.backward_solver is None


def test_statistics_stand_from_the_share_that_the_recipe_names():
    torch.manual_seed(0)
    model = MODELS["lu-dncnn"](channels=3, num_stages=2)
    found = []

    def watch(log, done):
        found.append(model.network.norms[0].running_mean.clone())

    fit(run_of(model, recipe(steps=4, frozen_statistics=0.5)), watch)
    first, second, third, fourth = found
    assert not torch.equal(first, second)
    assert torch.equal(second, third)
    assert torch.equal(third, fourth)


@pytest.mark.parametrize("policy", ["paper", "recompute"])
@pytest.mark.parametrize("name", ["lu-dncnn", "deq4ip"])
def test_a_skipped_step_leaves_no_trace(name, policy):
    """One pixel of one batch is not a number: BatchNorm's statistics would never recover from it."""

    def measure(operator, truth, generator):
        y = TASK.measure(operator, truth, generator)
        measure.calls += 1
        if measure.calls == 2:
            y[0, 0, 3, 3] = math.nan
        return y

    def after(steps):
        measure.calls = 0
        torch.manual_seed(0)
        model = MODELS[name](channels=3, policy=policy)
        log = fit(run_of(model, recipe(steps=steps), task=replace(TASK, measure=measure)))
        return model, log

    (first, _), (second, log) = after(1), after(2)
    assert log.skipped == 1
    for key, buffer in second.named_buffers():
        assert torch.equal(buffer, dict(first.named_buffers())[key]), key
    with torch.no_grad():
        assert second.eval()(torch.rand(1, 3, *SHAPE), OPERATOR).image.isfinite().all()


def test_a_loss_beyond_all_bounds_ends_the_run():
    class Runaway(Brightness):
        def forward(self, y, operator):
            return super().forward(y + 100 * (self.step > 4), operator)

    _, log = trained(recipe(steps=200, learning_rate=1e-6), Runaway())
    assert log.diverged
    assert log.step == 25
    assert log.ending == "the loss of the last 20 steps was above 1; training ended at step 25"


def test_a_recipe_that_validates_needs_images():
    with pytest.raises(ValueError, match="no validation images"):
        fit(run_of(Brightness(), recipe(validations=1)))


def test_a_budget_of_time_replaces_that_of_steps():
    _, log = trained(recipe(steps=1, minutes=0.02), Brightness())
    assert log.step > 3
    assert 1.0 < log.train_s < 6.0


def test_waiting_for_images_is_part_of_the_time():
    _, log = trained(recipe(), Brightness())
    assert len(log.step_s) == 3
    assert 0 < log.data_s < log.train_s == sum(log.step_s)


@pytest.mark.parametrize("workers", [0, 2])
def test_images_read_by_other_processes_are_the_same(workers):
    _, log = trained(recipe(), Brightness(), workers=workers)
    assert log.losses == trained(recipe(), Brightness())[1].losses
