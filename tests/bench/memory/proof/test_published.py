"""Published histories of real allocators replay to the byte, from the middle of a run on, and wrong ones don't."""

import csv
import gzip
import json
import random

import pytest
import torch

from bench.memory import allocator as rules
from bench.memory.allocator import CachingAllocator
from bench.memory.proof.perceptron import Perceptron
from bench.memory.proof.published import PublishedHistory, replay_published
from bench.memory.recorded import ReplayError
from bench.records import MIB
from tests.conftest import REAL_DATA

HISTORIES = sorted((REAL_DATA / "gpu" / "histories").glob("*.json.gz"))


def made_up(seed=0, warm=60, steps=120):
    """A history as torch would tell it, which begins after ``warm`` requests."""
    drawn, events = random.Random(seed), []
    segments = {}

    def place(size):
        address = max((start + length for start, length in segments.items()), default=2 * MIB) + 2 * MIB
        segments[address] = size
        events.append(("segment_alloc", address, size))
        return address

    allocator, live, start = CachingAllocator(place_segment=place), {}, None
    for step in range(warm + steps):
        if step == warm:
            small = {block.address: block.small for block in allocator.blocks()}
            start = [(a, s, small[a]) for a, s in segments.items()], list(live.items())
            events.clear()
        if live and drawn.random() < 0.45:
            address = drawn.choice(sorted(live))
            allocator.release(address)
            events.append(("free_completed", address, live.pop(address)))
        else:
            size = int(2 ** drawn.uniform(6, 25))
            before = len(events)
            address = allocator.allocate(size)
            events.insert(before, ("alloc", address, size))
            live[address] = size
    return PublishedHistory(
        start_segments=start[0],
        start_live=start[1],
        events=events,
        final_blocks=[(block.address, block.size, not block.free) for block in allocator.blocks()],
        reserved_bytes=allocator.statistics().reserved,
    )


@pytest.mark.parametrize("seed", range(20))
def test_a_history_replays_from_the_middle_of_a_run(seed):
    history = made_up(seed)
    replayed = replay_published(history)
    assert replayed.statistics().reserved == history.reserved_bytes


def test_another_address_another_segment_and_another_end_are_refused():
    history = made_up()
    index, (action, address, size) = next((i, e) for i, e in enumerate(history.events) if e[0] == "alloc")
    moved = (*history.events[:index], (action, address + 512, size), *history.events[index + 1 :])
    with pytest.raises(ReplayError, match=f"{size} bytes went to {address}, recorded: {address + 512}"):
        replay_published(history.model_copy(update={"events": moved}))
    without = tuple(event for event in history.events if event[0] != "segment_alloc")
    with pytest.raises(ReplayError, match=r"a segment of \d+ bytes, recorded: none"):
        replay_published(history.model_copy(update={"events": without}))
    with pytest.raises(ReplayError, match="it ends with"):
        replay_published(history.model_copy(update={"final_blocks": history.final_blocks[1:]}))


def test_a_file_that_is_no_history_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.memory.proof.published.MOST_BYTES", 10_000)
    path = tmp_path / "x.json.gz"
    sound = gzip.compress(b"{}" * 1000)
    damaged = (sound[:-9], sound[:12] + b"\xff" + sound[13:], gzip.compress(bytes(10_001)))
    for content in (b"", b"not gzip", gzip.compress(b"{}"), gzip.compress(json.dumps([1]).encode()), *damaged):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"x\.json\.gz: not a history: [^\n]*$"):
            PublishedHistory.load(path)


@pytest.mark.skipif(not HISTORIES, reason="no folder shared/data/gpu beside the checkout")
@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_real_histories_replay_to_the_byte(path):
    replay_published(PublishedHistory.load(path))


@pytest.mark.skipif(not HISTORIES, reason="no folder shared/data/gpu beside the checkout")
@pytest.mark.parametrize("rule", ["SMALL_LIMIT", "LARGE_SEGMENT"])
def test_and_fail_where_a_rule_is_broken(monkeypatch, rule):
    monkeypatch.setattr(rules, rule, 2 * getattr(rules, rule))
    failed = 0
    for path in HISTORIES:
        try:
            replay_published(PublishedHistory.load(path))
        except (ReplayError, KeyError, AssertionError):
            failed += 1
    assert 2 * failed > len(HISTORIES)


def test_a_perceptron_is_built_as_its_name_says():
    name = "input:64_output:10_depth:3_arch:{}_batch:7_act:relu_dropout:0.2_dropout:{}_batchnorm:{}.out"
    widths = {"pyramid": (32, 16, 10), "bottleneck": (32, 16, 10, 10), "uniform": (64,) * 3, "gradual": (46, 28, 10)}
    for shape, expected in widths.items():
        assert Perceptron.named(name.format(shape, "False", "False")).widths == expected
    plain, whole = (Perceptron.named(name.format("uniform", *flags)) for flags in (("False",) * 2, ("True",) * 2))
    assert [type(layer).__name__ for layer in plain.network()] == ["Linear", "ReLU"] * 3 + ["Linear", "Softmax"]
    hidden = ["Linear", "BatchNorm1d", "ReLU", "Dropout"]
    assert [type(layer).__name__ for layer in whole.network()] == hidden * 3 + ["Linear", "Softmax"]
    plain.make_step(7)()
    with pytest.raises(ValueError, match="not the name of a perceptron: x"):
        Perceptron.named("x")


@pytest.mark.skipif(not HISTORIES, reason="no folder shared/data/gpu beside the checkout")
def test_perceptrons_have_the_measured_ones_parameters():
    with (REAL_DATA / "gpu" / "measured" / "mlp_adam_a100.csv").open() as file:
        rows = list(csv.DictReader(file))[::10]
    with torch.device("meta"):
        for row in rows:
            perceptron = Perceptron.named(row["Filename"])
            # The publisher's count leaves out a PReLU's one slope.
            slopes = len(perceptron.widths) if perceptron.activation == "prelu" else 0
            count = sum(parameter.numel() for parameter in perceptron.network().parameters())
            assert count - slopes == int(row["Total Parameters"])
