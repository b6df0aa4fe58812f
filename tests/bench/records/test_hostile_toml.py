"""Tables that are made up: credits and recipes are read, or refused by their documented error."""

import json
import sys

from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bench.records.recipe import Recipe
from bench.records.store import ResultStore, StoreError
from tests.bench.data.hostile import many

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


KEYS = st.sampled_from(["steps", "batch", "learning_rate", "minutes", "windows", "augmentation", "seed", '"photos/a"'])
VALUES = st.one_of(
    st.integers().map(str),
    st.floats().map(lambda number: repr(number) if number == number else "nan"),
    st.sampled_from(
        ["true", "[]", '["crop"]', "[1, 'a']", "{}", "{until = 1}", "[{until = 2}]", "1979-05-27", "12:00:00"]
    ),
    st.text(max_size=9).map(json.dumps),
    st.text(max_size=9),
)
LINES = st.lists(st.tuples(KEYS, VALUES).map(" = ".join), max_size=4).map("\n".join)
TABLES = st.one_of(LINES, LINES.map(lambda lines: f"[table]\n{lines}"), st.text(max_size=40), st.binary(max_size=40))


@many(200)
@given(content=TABLES)
def test_credits_of_others_making(tmp_path, content):
    written = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    (tmp_path / "credits.toml").write_bytes(written)
    try:
        credits = ResultStore(tmp_path).credits()
    except StoreError as error:
        credits, message = {}, str(error)
        assert message.startswith(f"{tmp_path / 'credits.toml'}: ")  # a sound table is no error
    assert all(isinstance(text, str) for text in credits.values())


SOUND = {"steps": 1, "batch": 1, "learning_rate": 1e-3}


@many(200)
@given(lines=LINES)
def test_recipes_of_others_making(lines):
    try:
        recipe = Recipe(**(SOUND | tomllib.loads(lines)))
    except (tomllib.TOMLDecodeError, ValidationError):
        return
    assert recipe.steps >= 1
    assert recipe.batch >= 1
    assert recipe.learning_rate > 0
    assert recipe.view_shape((64, 64)) <= (64, 64)
