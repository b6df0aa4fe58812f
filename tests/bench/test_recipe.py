"""Recipes: layers of one file, the same for every model but where the paper differs."""

import math
from itertools import pairwise

import pytest
from pydantic import ValidationError

from bench.recipe import Recipe, recipe_for
from bench.scales import SCALES
from bench.tasks import TASKS
from models import MODELS


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("task", TASKS)
def test_every_model_trains_a_task_by_the_same_recipe_but_for_how_deq4ip_begins(task, scale):
    recipes = {name: recipe_for(task, scale, name) for name in [*MODELS, "mine:Model"]}
    common = recipes["mine:Model"]
    own = {"learning_rate", "pretrain_steps", "jacobian_weight"}
    assert all(recipe.model_dump(exclude=own) == common.model_dump(exclude=own) for recipe in recipes.values())
    assert [name for name, recipe in recipes.items() if recipe != common] == ["deq4ip"]
    assert common.pretrain_steps == 0
    assert recipes["deq4ip"].pretrain_steps > 0
    assert common.validations <= common.steps


def test_options_win_over_the_file():
    changed = recipe_for("ct", "small", "luser-sw", steps=7, jacobian_weight=2.5)
    assert changed.steps == 7
    assert changed.jacobian_weight == 2.5
    assert changed.learning_rate == recipe_for("ct", "small", "luser-sw").learning_rate


def test_a_name_that_no_recipe_has_is_refused():
    with pytest.raises(ValidationError, match="learning_rte"):
        recipe_for("ct", "small", "luser-sw", learning_rte=1.0)


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
