"""Recorded histories replayed: by hand after the allocator's rules, and every file that a GPU recorded."""

from pathlib import Path

import pytest
import torch

from bench.memory import real_step, snapshot
from bench.memory.recorded import ReplayError
from bench.memory.snapshot import History, history_blocks, history_events, replay_history, replayed_blocks
from bench.records import MIB

RECORDED = sorted((Path(__file__).parent / "histories").glob("*.json.gz"))
SMALL, LARGE = 0x7F0000000000, 0x7F1000000000


def entry(action, addr, size):
    return {"action": action, "addr": addr, "size": size, "stream": 0, "frames": []}


# Worked out by hand: 1000 bytes take 1024 of a 2 MiB segment; 6 and 4 MiB share a 20 MiB segment. The first is freed
# and 5 MiB go to its block, the smallest that holds them; a remainder of 1 MiB is not split off, so it keeps 6 MiB.
TRACE = [
    entry("segment_alloc", SMALL, 2 * MIB),
    entry("alloc", SMALL, 1000),
    entry("segment_alloc", LARGE, 20 * MIB),
    entry("alloc", LARGE, 6 * MIB),
    entry("alloc", LARGE + 6 * MIB, 4 * MIB),
    entry("free_requested", LARGE, 6 * MIB),
    entry("free_completed", LARGE, 6 * MIB),
    entry("alloc", LARGE, 5 * MIB),
]
SEGMENTS = [
    {
        "address": SMALL,
        "blocks": [
            {"size": 1024, "state": "active_allocated"},
            {"size": 2 * MIB - 1024, "state": "inactive"},
        ],
    },
    {
        "address": LARGE,
        "blocks": [
            {"size": 6 * MIB, "state": "active_allocated"},
            {"size": 4 * MIB, "state": "active_allocated"},
            {"size": 10 * MIB, "state": "inactive"},
        ],
    },
]
STATISTICS = {
    "requested": 1000 + 9 * MIB,
    "allocated": 1024 + 10 * MIB,
    "reserved": 22 * MIB,
    "segments": 2,
    "peak_requested": 1000 + 10 * MIB,
    "peak_allocated": 1024 + 10 * MIB,
    "peak_reserved": 22 * MIB,
    "inactive_split": 12 * MIB - 1024,
}
BY_HAND = History(
    device="by hand",
    torch="2.13.0",
    what="eight events",
    events=history_events(TRACE),
    blocks=history_blocks(SEGMENTS),
    statistics=STATISTICS,
)


def check(history):
    allocator = replay_history(history)
    assert replayed_blocks(allocator) == history.blocks
    figures = allocator.statistics()
    assert {name: getattr(figures, name) for name in history.statistics} == history.statistics


def test_a_history_by_hand_gives_its_statistics_and_blocks_back(tmp_path):
    BY_HAND.save(tmp_path / "history.json.gz")
    check(History.load(tmp_path / "history.json.gz"))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_recorded_history_gives_its_statistics_and_blocks_back(path):
    check(History.load(path))


@pytest.mark.parametrize(
    ("place", "event", "message"),
    [
        (4, ("alloc", LARGE + 7 * MIB, 4 * MIB), "recorded"),
        (2, ("segment_alloc", LARGE, 10 * MIB), "segment"),
    ],
)
def test_another_decision_than_the_recorded_one_is_an_error(place, event, message):
    events = list(BY_HAND.events)
    events[place] = event
    with pytest.raises(ReplayError, match=message):
        replay_history(BY_HAND.model_copy(update={"events": tuple(events)}))


def test_a_recording_keeps_the_peaks_of_all_that_it_records(monkeypatch, tmp_path):
    """Its replay begins with the first allocation: the peak may be that of finding the operator's norm."""
    resets = []
    monkeypatch.setattr(snapshot, "claim_cuda", lambda *_: torch.device("cpu"))
    for module, name in [(snapshot, "take"), (snapshot, "release"), (real_step, "release")]:
        monkeypatch.setattr(module, name, lambda *_: None)
    monkeypatch.setattr(real_step, "training_step", lambda *_: None)
    monkeypatch.setattr(snapshot, "_history", lambda *_: BY_HAND)
    monkeypatch.setattr("torch.cuda.memory._record_memory_history", lambda *_, **__: None)
    monkeypatch.setattr("torch.cuda.synchronize", lambda *_: None)
    monkeypatch.setattr("torch.cuda.reset_peak_memory_stats", resets.append)
    options = ["--model", "deq4ip", "--batch", "1", "--image-size", "16", str(tmp_path / "history.json.gz")]
    snapshot.record.main(options, standalone_mode=False)
    check(History.load(tmp_path / "history.json.gz"))
    assert resets == []
