"""Table 3 proved side by side, on a card that isn't there."""

import os
import threading
import time

import pytest
import torch

from bench.gpu import proofs
from bench.gpu.budget import Budget, OutOfTime
from bench.gpu.ledger import Ledger
from bench.gpu.proofs import Proofs
from bench.gpu.site import PROVED, Site, Work
from bench.memory import cuda
from bench.memory.side_by_side import Room
from bench.records import GIB, MIB, Probe, Status
from bench.records.store import ResultStore
from bench.runner.forked import ForkedError
from tests.records import make_provenance

CARD, CONTEXT = 79 * GIB, 600 * MIB
IMAGE_BYTES = GIB // 2


class Card:
    """Stands in for the server that forks probes: steps take half a GiB an image beside the context.

    Attributes:
        asked: every request, in order.
        most_bytes: of the caps that were out at once.
    """

    def __init__(self, problem=None):
        self.asked, self.problem = [], problem
        self.out = self.most_bytes = self.most_processes = self.processes = 0
        self.lock = threading.Lock()

    def call(self, function, request, *, timeout_s):
        size = request["cap_bytes"] or proofs.CONTEXT_ROOM_BYTES
        with self.lock:
            self.asked.append(request)
            self.out, self.processes = self.out + size, self.processes + 1
            self.most_bytes = max(self.most_bytes, self.out)
            self.most_processes = max(self.most_processes, self.processes)
        time.sleep(0.002)
        with self.lock:
            self.out, self.processes = self.out - size, self.processes - 1
        if self.problem is not None:
            raise self.problem
        if request["context_bytes"] is None:
            return {"context_bytes": CONTEXT}
        peak = request["batch"] * IMAGE_BYTES + CONTEXT
        if peak > request["cap_bytes"]:
            return "out of memory"
        return {"peak_bytes": peak, "context_bytes": CONTEXT, "nvml_bytes": peak}

    def probed(self):
        return [(request["cap_bytes"], request["batch"]) for request in self.asked if request["cap_bytes"]]


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.gpu.site.pick_device", torch.device)
    monkeypatch.setattr(proofs, "provenance", lambda device, **options: make_provenance(options=options))
    monkeypatch.setattr(proofs, "parameters_of", lambda spec: (5, 4))
    monkeypatch.setattr(Proofs, "_simulated", lambda self, spec: 2)
    monkeypatch.setattr(cuda, "used_bytes", lambda device: GIB)
    monkeypatch.setattr(cuda, "trace_of", lambda key: None)
    monkeypatch.setattr(cuda, "judge", lambda *_, **__: Probe(batch=1, peak_bytes=1, fits=False))
    cuda._context_alone.cache_clear()
    return Site(tmp_path, "cuda:0")


def work_at(site, seconds=600):
    return Work(site, Budget(seconds), Ledger(site.folder / "ledger.jsonl"))


def proofs_at(site, card, *, tells=True, seconds=600):
    return Proofs(work_at(site, seconds), Room(CARD), tells_processes=tells, server=card)


def largest(cap_bytes):
    images = (cap_bytes - CONTEXT) // IMAGE_BYTES
    return images - images % 2


def test_every_cell_is_proved_and_the_caps_never_exceed_the_card(site):
    card = Card()
    proofs_at(site, card).prove()
    records = list(ResultStore(site.results).records())
    assert len(records) == len(PROVED) * len(site.tasks) * len(site.caps)
    for record in records:
        assert record.status is Status.OK
        assert record.values.max_batch == largest(record.spec.cap_bytes)
        assert record.spec.backend == "cuda"
        assert record.provenance.options == {"probe_steps": 2, "solver_steps": 7}
    assert card.most_bytes <= CARD
    assert card.most_processes > 1


def test_the_paper_s_rows_come_first_and_a_context_is_measured_once_for_all_caps(site, monkeypatch):
    monkeypatch.setattr(proofs, "SIDE_BY_SIDE", 1)
    card = Card()
    proofs_at(site, card).prove()
    contexts = [request["spec"] for request in card.asked if request["context_bytes"] is None]
    order = [(spec["model"], spec["policy"]) for spec in contexts]
    assert order == [pair for pair in PROVED for _ in site.tasks]
    assert {request["context_bytes"] for request in card.asked} == {None, CONTEXT}


def test_where_nvml_cannot_tell_processes_apart_no_context_is_measured_side_by_side(site):
    card = Card()
    proofs_at(site, card, tells=False).prove()
    assert {request["context_bytes"] for request in card.asked} == {proofs.ALLOWANCE_BYTES}


def test_a_run_goes_on_at_the_next_probe(site):
    proofs_at(site, first := Card()).prove()
    for path in (site.results / "memory").glob("ct-luser-sw-*.json"):
        path.unlink()  # as if the records had not been written yet, though the probes had
    proofs_at(site, second := Card()).prove()
    assert second.asked == []
    assert len(first.probed()) == len(set(map(str, first.asked))) - len(PROVED) * len(site.tasks)


@pytest.mark.parametrize("problem", [TimeoutError("killed"), None], ids=["a probe is killed", "none begins"])
def test_the_end_of_the_time_is_no_failure(site, problem):
    with pytest.raises(OutOfTime):
        proofs_at(site, Card(problem), seconds=600 if problem else 1).prove()
    assert list(ResultStore(site.results).records()) == []
    assert work_at(site).ledger.failures == {}


def test_a_forked_process_that_fails_is_asked_again_in_a_fresh_one(site, monkeypatch):
    fresh = Card()
    monkeypatch.setattr(proofs, "run_fresh", lambda request, timeout_s: fresh.call(None, request, timeout_s=timeout_s))
    proofs_at(site, Card(ForkedError("died with exit code -11"))).prove()
    assert {record.status for record in ResultStore(site.results).records()} == {Status.OK}


def test_a_cell_that_fails_takes_no_other_down(site, monkeypatch):
    monkeypatch.setattr(proofs, "parameters_of", lambda spec: 1 / 0 if spec.task == "ct" else (5, 4))
    proofs_at(site, Card()).prove()
    states = {(record.spec.task, record.status) for record in ResultStore(site.results).records()}
    assert states == {("deblur", Status.OK), ("mri4x", Status.OK), ("ct", Status.FAILED)}
    failures = work_at(site).ledger.failures
    assert len(failures) == len(PROVED) * len(site.caps)
    assert set(failures.values()) == {"ZeroDivisionError: division by zero"}


def test_a_rehearsal_asks_for_simulations_and_stores_them_apart(tmp_path):
    site = Site(tmp_path, "cpu", rehearse=True)
    specs = [spec for model, policy in site.proved for spec in site.specs(model, policy, "deblur")]
    assert {spec.backend for spec in specs} == {"simulate"}
    assert site.results.name == "rehearsal"


def test_nothing_of_the_driver_s_forks_with_a_context(site):
    """The server is another process than the one that asks NVML and torch about the card."""
    server = proofs.ForkServer(["time"])
    assert server.call(os.getppid, timeout_s=300) not in (os.getpid(), os.getppid())
