"""Recipes: layers of one file, the same for every model but where the paper differs."""

import math
from itertools import pairwise

import pytest
from pydantic import ValidationError

from bench.records.recipe import Recipe, recipe_for
from bench.tasks import TASKS
from bench.tasks.scales import SCALES
from models import MODELS


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("task", TASKS)
def test_every_model_trains_a_task_by_the_same_recipe_but_for_deq4ip(task, scale):
    recipes = {name: recipe_for(task, scale, name) for name in [*MODELS, "mine:Model"]}
    common = recipes["mine:Model"]
    own = {"learning_rate", "jacobian_weight", "pretrain_steps", "steps"}
    own |= {"tolerance", "backward_tolerance", "solver_steps", "validations", "validation_images"}
    assert all(recipe.model_dump(exclude=own) == common.model_dump(exclude=own) for recipe in recipes.values())
    assert [name for name, recipe in recipes.items() if recipe != common] == ["deq4ip"]
    assert recipes["deq4ip"].learning_rate < common.learning_rate
    assert common.validations <= common.steps


def test_options_win_over_the_file():
    changed = recipe_for("ct", "small", "luser-sw", steps=7, jacobian_weight=2.5)
    assert changed.steps == 7
    assert changed.jacobian_weight == 2.5
    assert changed.learning_rate == recipe_for("ct", "small", "luser-sw").learning_rate


def test_a_name_that_no_recipe_has_is_refused():
    with pytest.raises(ValidationError, match="learning_rte"):
        recipe_for("ct", "small", "luser-sw", learning_rte=1.0)


def test_a_window_is_a_share_of_the_image_and_needs_crops():
    assert Recipe(steps=1, batch=1, learning_rate=1.0).view_shape((218, 178)) == (218, 178)
    recipe = Recipe(steps=1, batch=1, learning_rate=1.0, augmentation=("crop",), window=0.5)
    assert recipe.view_shape((218, 179)) == (109, 90)
    with pytest.raises(ValidationError, match="a window smaller than the image needs the augmentation 'crop'"):
        Recipe(steps=1, batch=1, learning_rate=1.0, window=0.5)


def test_the_rate_rises_linearly_and_falls_as_half_a_cosine():
    recipe = Recipe(steps=10, batch=1, learning_rate=2.0, warmup=0.2, final_rate=0.1)
    assert recipe.rate_at(0.1) == pytest.approx(1.0)
    assert recipe.rate_at(0.2) == pytest.approx(2.0)
    assert recipe.rate_at(0.6) == pytest.approx(2.0 * (0.1 + 0.9 / 2))  # half-way down
    assert recipe.rate_at(1.0) == pytest.approx(0.2)
    rates = [recipe.rate_at(step / 100) for step in range(101)]
    assert min(rates) > 0
    assert max(rates) == pytest.approx(2.0)
    assert all(earlier >= later for earlier, later in pairwise(rates[20:]))


def test_without_a_warm_up_the_rate_begins_at_its_highest():
    recipe = Recipe(steps=10, batch=1, learning_rate=2.0)
    assert recipe.rate_at(0.0) == 2.0
    assert math.isclose(recipe.rate_at(1.0), 0.0, abs_tol=1e-12)


def test_windows_in_pixels_follow_one_another_and_end_with_the_run():
    windows = ({"until": 0.5, "side": 64}, {"until": 1.0})
    recipe = Recipe(steps=1, batch=1, learning_rate=1.0, windows=windows)
    shapes = [recipe.view_shape((218, 178), done) for done in (0.0, 0.49, 0.5, 1.0)]
    assert shapes == [(64, 64), (64, 64), (218, 178), (218, 178)]
    assert recipe.view_shape((48, 80)) == (48, 64)  # no larger than the image
    for wrong in ([0.5], [1.0, 0.5], [0.5, 0.5, 1.0]):
        with pytest.raises(ValidationError, match="windows must be in order, the last until 1"):
            Recipe(steps=1, batch=1, learning_rate=1.0, windows=[{"until": until, "side": 8} for until in wrong])
    with pytest.raises(ValidationError, match="stand in place of 'window'"):
        Recipe(steps=1, batch=1, learning_rate=1.0, windows=windows, augmentation=("crop",))


def test_shrunk_images_keep_their_proportions():
    windows = ({"until": 0.5, "side": 109, "shrunk": True}, {"until": 1.0})
    recipe = Recipe(steps=1, batch=1, learning_rate=1.0, windows=windows)
    assert [recipe.view_shape((218, 178), done) for done in (0.0, 0.5)] == [(109, 89), (218, 178)]
    assert recipe.view_shape((48, 80)) == (48, 80)  # never enlarged
    assert recipe.window_at(0.2).shrunk
    assert not recipe.window_at(0.5).shrunk


def test_a_models_table_of_one_task_wins_over_its_table_of_all():
    assert recipe_for("ct", "full", "deq4ip").steps < recipe_for("deblur", "full", "deq4ip").steps
    assert recipe_for("ct", "full", "deq4ip").tolerance == recipe_for("deblur", "full", "deq4ip").tolerance
