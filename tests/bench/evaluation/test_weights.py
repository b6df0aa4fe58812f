"""Weights files that are damaged or made to do harm: read, or refused in one line."""

import json
import struct

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save
from torch import nn

from bench.evaluation.weights import WeightsError, load_weights, save_weights
from bench.records import AccuracySpec
from bench.records.recipe import Recipe
from bench.training.published import load_model
from models import MODELS
from tests.bench.data.hostile import many

SPEC = AccuracySpec(
    task="ct",
    model="luser-sw",
    image_shape=(16, 16),
    loss="final",
    scale="quick",
    data="generated",
    policy="paper",
    recipe=Recipe(steps=1, batch=1, learning_rate=1e-3),
    train_images=1,
    test_images=2,
    seed=0,
)
EDITS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6)


def tried(read, path):
    """Read a file; a refusal is one line that names it."""
    try:
        return read(path)
    except WeightsError as error:
        told = str(error)
    assert told.startswith(f"{path}: ")
    assert told.isprintable()
    return None


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "sound.safetensors"
    save_weights(path, nn.Linear(3, 2), SPEC)
    return path.read_bytes()


@many(300)
@given(edits=EDITS, length=st.one_of(st.just(1.0), st.floats(0, 1)))
def test_damaged_files(tmp_path, content, edits, length):
    edited = bytearray(content)
    for place, value in edits:
        edited[int(place * (len(edited) - 1))] = value
    (tmp_path / "w").write_bytes(edited[: round(length * len(edited))])
    tried(load_weights, tmp_path / "w")


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=6,
)
DTYPES = ["F64", "F32", "F16", "BF16", "I64", "U8", "BOOL", "F8_E5M2", "F8_E4M3", "C64", "U64", "F4", "X"]
TENSOR = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(DTYPES),
        "shape": st.one_of(
            st.sampled_from([[4], [1, 2], [2, 2, 2], [16], [8], []]), st.lists(st.integers(-1, 2**63), max_size=4)
        ),
        "data_offsets": st.sampled_from([[0, 16], [16, 0], [0, 2**62], [4, 16]]),
    }
)


@many(150)
@given(
    header=st.dictionaries(st.text(max_size=5), st.one_of(TENSOR, JSON), max_size=2),
    metadata=st.one_of(st.just({"spec": SPEC.model_dump_json()}), JSON),
    stated=st.sampled_from([0, 0, 0, -1, 2**31, 2**63]),
)
def test_headers_of_others_making(tmp_path, header, metadata, stated):
    text = json.dumps(header | {"__metadata__": metadata}).encode()
    size = (len(text) + stated) % 2**64
    (tmp_path / "w").write_bytes(struct.pack("<Q", size) + text + b"\x7f" * 16)
    tried(load_weights, tmp_path / "w")


FIELDS = st.dictionaries(st.sampled_from(sorted(AccuracySpec.model_fields)), JSON, max_size=3)


@many(100)
@given(changes=FIELDS, raw=st.one_of(st.none(), st.text(max_size=20)))
def test_questions_of_others_making(tmp_path, changes, raw):
    asked = json.dumps(SPEC.model_dump(mode="json") | changes) if raw is None else raw
    (tmp_path / "w").write_bytes(save({"weight": torch.ones(2)}, {"spec": asked}))
    tried(load_weights, tmp_path / "w")
    assert tried(load_model, tmp_path / "w") is None  # no model of ours has that one tensor


CHANGES = {
    "nan": lambda tensor: torch.full_like(tensor, torch.nan),
    "longer": lambda tensor: torch.cat([tensor.flatten(), tensor.flatten()]),
    "no axis": lambda tensor: tensor.new_zeros(()),
    "empty": lambda tensor: tensor.new_zeros(0),
    "another kind": lambda tensor: tensor.to(torch.int32),
    "bool": lambda tensor: tensor.bool(),
    "absent": lambda tensor: None,
}


@many(40)
@given(data=st.data(), change=st.sampled_from(sorted(CHANGES)))
def test_tensors_of_another_form(tmp_path, data, change):
    torch.manual_seed(0)
    tensors = MODELS["luser-sw"](channels=1).state_dict()
    name = data.draw(st.sampled_from(sorted(tensors)))
    tensors = {key: tensor.contiguous() for key, tensor in tensors.items()}
    changed = CHANGES[change](tensors.pop(name))
    tensors |= {} if changed is None else {name: changed}
    (tmp_path / "w").write_bytes(save(tensors, {"spec": SPEC.model_dump_json()}))
    assert tried(load_model, tmp_path / "w") is None
