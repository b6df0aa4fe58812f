"""A question's identity: fields that came later leave that of older records alone."""

from pathlib import Path

import pytest
from pydantic import Field

from bench.records import Frozen, Provenance, cell_id
from bench.records.identity import ADDED, asked
from bench.records.store import ResultStore
from tests.records import make_provenance

RESULTS = Path(__file__).parents[3] / "results"


class OldRecipe(Frozen):
    steps: int = 3


class OldQuestion(Frozen):
    recipe: OldRecipe = OldRecipe()


class OldWindow(Frozen):
    side: int = 8


class OldCourse(Frozen):
    windows: tuple[OldWindow, ...] = (OldWindow(), OldWindow(side=16))


class Window(OldWindow):
    shrunk: bool = Field(default=False, json_schema_extra=ADDED)


class Course(Frozen):
    windows: tuple[Window, ...] = (Window(), Window(side=16))


class Recipe(Frozen):
    steps: int = 3
    accumulate: int = Field(default=1, json_schema_extra=ADDED)


class Question(Frozen):
    recipe: Recipe = Recipe()
    peers: tuple[str, ...] = Field(default_factory=tuple, json_schema_extra=ADDED)


def test_every_stored_record_has_the_name_that_its_question_has_today():
    store, files = ResultStore(RESULTS), sorted(RESULTS.glob("*/*.json"))
    assert len(files) > 200
    assert [store.path_of(record.spec, record.provenance) for record in store.records()] == files


def test_a_field_that_came_later_changes_nothing_at_its_default():
    assert asked(Question()) == {"recipe": {"steps": 3}}
    assert cell_id(Question()) == cell_id(OldQuestion())


def test_nor_does_one_in_a_list_of_questions():
    assert cell_id(Course()) == cell_id(OldCourse())
    assert cell_id(Course(windows=(Window(), Window(side=16, shrunk=True)))) != cell_id(OldCourse())


@pytest.mark.parametrize("asked_for", [{"peers": ("astra",)}, {"recipe": Recipe(accumulate=2)}])
def test_and_asks_another_question_elsewhere(asked_for):
    assert cell_id(Question(**asked_for)) != cell_id(Question())


def test_so_it_is_with_environments():
    class Later(Provenance):
        governor: str = Field(default="unknown", json_schema_extra=ADDED)

    fields = make_provenance().model_dump()
    assert Later(**fields).env_id == make_provenance().env_id != Later(**fields, governor="powersave").env_id


@pytest.mark.parametrize("known", [{"cuda": "13.0"}, {"cudnn": "91300"}, {"flags": {"tf32": False}}])
def test_a_gpus_libraries_are_another_environment_where_they_are_known(known):
    assert make_provenance(cuda=None, cudnn=None, flags={}).env_id == make_provenance().env_id
    assert make_provenance(**known).env_id != make_provenance().env_id
