"""What is made in the background: once each, before memory is measured, and not beyond the time."""

import threading
import time

import pytest
import torch

from bench.gpu import preparation
from bench.gpu.budget import Budget
from bench.gpu.plan import PARTS
from bench.gpu.preparation import Preparation, make_trace, tune
from bench.gpu.site import Site


class Server:
    """Notes what is called; every call ends when it is told to."""

    def __init__(self):
        self.calls, self.ended = [], threading.Event()

    def call(self, function, *arguments, timeout_s):
        self.calls.append((function, *arguments))
        self.ended.wait()

    def end_calls(self):
        self.ended.set()


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    monkeypatch.setattr(preparation, "pick_device", torch.device)
    monkeypatch.setattr(preparation.os, "cpu_count", lambda: 64)
    server = Server()
    made = Preparation(Site(tmp_path, "cuda:0"), server)
    yield made, server
    made.stop()


def test_every_trace_is_made_once_and_every_kernel_is_tuned(prepared):
    made, server = prepared
    server.ended.set()
    made.wait(Budget(60))
    tuned = {call[1:] for call in server.calls if call[0] is tune}
    assert tuned == {("cuda:0", (362, 362), batch) for batch in (1, 2, 4, 8)}
    traced = [call[1] for call in server.calls if call[0] is make_trace]
    assert len(traced) == len(set(traced)) == 24


def test_nobody_waits_beyond_the_time_and_nothing_is_left_running(prepared):
    made, server = prepared
    started = time.monotonic()
    made.wait(Budget(0.5))
    assert time.monotonic() - started < 30
    made.stop()
    made.wait(Budget(60))
    assert server.ended.is_set()


def test_memory_is_measured_once_all_is_prepared():
    assert [part.name for part in PARTS if part.waits] == ["calibration", "proofs", "times"]


def test_a_rehearsal_tunes_nothing(tmp_path):
    server = Server()
    server.ended.set()
    made = Preparation(Site(tmp_path, "cpu", rehearse=True), server)
    made.wait(Budget(60))
    assert {call[0] for call in server.calls} == {make_trace}
