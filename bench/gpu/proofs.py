"""Part 3: Table 3 proved, with probes of several cells side by side, each in a forked process."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import click
import torch

from bench.gpu.budget import OutOfTime
from bench.gpu.calibrating import calibration_file
from bench.gpu.site import Work
from bench.memory.calibration import Calibration, Rules, rule_set
from bench.memory.cells import outcome
from bench.memory.cuda import ProbeError, allocator_setting, context_alone, probe, run_fresh
from bench.memory.nvml import tells_processes, used_bytes
from bench.memory.real_step import SHORT_SOLVES, train
from bench.memory.replay import fits, replay
from bench.memory.search import largest_batch, largest_fitting
from bench.memory.side_by_side import Room
from bench.memory.simulate import fit_values, parameters_of, trace_key
from bench.memory.steps import Answer, Figures
from bench.memory.steps import answer as steps_answer
from bench.memory.traces import trace_of
from bench.records import ALLOWANCE_BYTES, GIB, MIB, MemorySpec, Probe, Provenance
from bench.records.environment import provenance
from bench.records.kernels import libraries
from bench.runner.cell import Outcome, StudyCell
from bench.runner.forked import ForkedError, ForkServer
from bench.runner.progress import CellReporter
from bench.runner.run import run_cells

PRELOADED = ("bench.memory.steps",)
SIDE_BY_SIDE = 6
"""Processes at once: they share the GPU's time, and while one loads libraries, others compute."""
STEPS = 2
"""Training steps of a probe: the first allocates Adam's state, which the second holds together with the activations."""
SHARED_BYTES = GIB
"""Memory of the card that no probe gets: the driver and this process's own context take it."""
CONTEXT_ROOM_BYTES = 12 * GIB
"""For steps of one image without a cap; those of LU-DnCNN on CT take 8.5 GiB."""
PROBE_S = 4.0
"""The least time with which a probe begins."""


def prove(work: Work) -> None:
    """Measure the figures of part 3."""
    if work.site.rehearse:
        Proofs(work, Room(4 * GIB), tells_processes=False).prove()
        return
    total = torch.cuda.get_device_properties(work.device).total_memory
    room = Room(total - (used_bytes(work.device) or 0) - SHARED_BYTES)
    server = ForkServer(PRELOADED)
    try:
        tells = server.call(_tells_processes, str(work.device), timeout_s=work.budget.left_s)
    except ForkedError as error:  # probes that cannot be forked run in fresh processes
        click.echo(f"NVML does not work in a forked process: {error}")
        tells = False
    Proofs(work, room, tells_processes=tells, server=server).prove()


def _tells_processes(device: str) -> bool:
    """Whether NVML tells processes on the device apart, asked in one that has a context there."""
    place = torch.device(device)
    torch.zeros(1, device=place)
    return tells_processes(place)


@dataclass
class Proofs:
    """The cells of Table 3, proved side by side.

    Args:
        work: see there.
        room: the card's memory.
        tells_processes: whether NVML tells what each process holds. Contexts are then measured side by side; else every
            cell takes the calibration's, which was measured on an idle GPU.
        server: forks the probes' processes.
    """

    work: Work
    room: Room
    tells_processes: bool
    server: ForkServer = field(default_factory=lambda: ForkServer(PRELOADED))

    def __post_init__(self) -> None:
        path = calibration_file(self.work.site)
        self.calibration = Calibration.model_validate_json(path.read_text()) if path else None
        self._contexts: dict[MemorySpec, Future[int]] = {}
        self._lock, self._tracing = threading.Lock(), threading.Lock()

    @property
    def rules(self) -> Rules:
        """The hidden memory that simulations assume."""
        return rule_set(self.calibration).expected

    def prove(self) -> None:
        """Answer every cell, in order of worth.

        Raises:
            OutOfTime: if not all were answered.
        """
        where = self._provenance()
        cells = [
            self._cell(spec, where)
            for model, policy in self.work.site.proved
            for task in self.work.site.tasks
            for spec in self.work.site.specs(model, policy, task)
        ]
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            futures = [pool.submit(self._answer, cell) for cell in cells]
        ended = [future.exception() for future in futures]
        for problem in sorted(filter(None, ended), key=lambda problem: isinstance(problem, OutOfTime)):
            raise problem  # a failure first, else that time is over

    def _provenance(self) -> Provenance:
        if self.work.site.rehearse:
            return provenance(None, rehearsal=True)
        where = provenance(self.work.device, probe_steps=STEPS, solver_steps=SHORT_SOLVES)
        return where.model_copy(update=libraries())

    def _answer(self, cell: StudyCell) -> None:
        (record,) = run_cells([cell], self.work.store)
        if record.values is None:
            self.work.ledger.fail(cell.label, record.message)
        else:
            self.work.ledger.put(cell.label, {"max_batch": getattr(record.values, "max_batch", None)})

    def _cell(self, spec: MemorySpec, where: Provenance) -> StudyCell:
        def measure(_: CellReporter) -> Outcome:
            self.work.budget.need(PROBE_S)
            context = self._context(spec)
            guess = self._simulated(spec)
            batch, probes = largest_batch(lambda batch: self._probe(spec, batch, context), max(guess, 1))
            with self._tracing:
                parameters = parameters_of(spec)
            return outcome(fit_values(batch, probes, parameters))

        return StudyCell(spec, where, measure, f"{spec.policy} {spec.cap_bytes / GIB:g} GB")

    def _probe(self, spec: MemorySpec, batch: int, context_bytes: int) -> Probe:
        """Try one batch, unless an earlier run did."""
        name = f"probe {spec.task} {spec.model} {spec.policy} {spec.cap_bytes} batch {batch}"
        known = self.work.ledger.figures.get(name)
        if known is not None:
            return Probe(**known)
        found = probe(spec, batch, self.work.device, context_bytes, self._run, self.rules)
        self.work.ledger.put(name, found.model_dump(mode="json"))
        return found

    def _simulated(self, spec: MemorySpec) -> int:
        with self._tracing:  # hooks and fake tensors affect the whole process
            trace, rules = trace_of(trace_key(spec)), self.rules
        room = spec.cap_bytes - rules.context_bytes
        low, high = (replay(trace, batch, rules).peak_allocated for batch in (4, 12))
        guess = 2 * int((4 + (room - low) / max((high - low) / 8, 1)) / 2)
        return largest_fitting(partial(fits, trace, cap_bytes=spec.cap_bytes, rules=rules), max(guess, 1))

    def _context(self, spec: MemorySpec) -> int:
        """Return what a process that trains this holds outside its allocator, measured once for all caps."""
        question = spec.model_copy(update={"cap_bytes": 0})
        with self._lock:
            known = self._contexts.get(question)
            future = self._contexts.setdefault(question, Future())
        if known is None:
            try:
                future.set_result(self._measured_context(question))
            except BaseException as error:
                future.set_exception(error)
        return future.result()

    def _measured_context(self, question: MemorySpec) -> int:
        name = f"context {question.task} {question.model} {question.policy}"
        usual = self.calibration.context_bytes if self.calibration else ALLOWANCE_BYTES
        if not self.tells_processes:
            return usual
        if name not in self.work.ledger.figures:
            try:
                found = context_alone(question, self.work.device, self._run)
            except ProbeError as error:
                click.echo(f"{name}: {error.message}; taken for {usual / MIB:.0f} MiB")
                return usual
            self.work.ledger.put(name, found)
        return int(self.work.ledger.figures[name])

    def _run(self, request: Figures) -> Answer:
        """Answer a request in a forked process, or in a fresh one where that fails for another reason than memory."""
        asked = request | {"steps": STEPS, "solver_steps": SHORT_SOLVES}
        answer: Callable[[Figures], Any] = rehearsed_answer if self.work.site.rehearse else steps_answer
        with self.room.lend(request["cap_bytes"] or min(CONTEXT_ROOM_BYTES, self.room.total_bytes)):
            self.work.budget.need(PROBE_S)
            try:
                found: Answer = self.server.call(answer, asked, timeout_s=self.work.budget.left_s)
                return found
            except ForkedError as error:
                click.echo(f"{error}; once more in a fresh process")
                return self._run_fresh(asked)
            except TimeoutError as error:
                raise OutOfTime(str(error)) from error

    def _run_fresh(self, request: Figures) -> Answer:
        try:
            return run_fresh(request, timeout_s=max(self.work.budget.left_s, PROBE_S))
        except ProbeError as error:
            if self.work.budget.left_s < 1:
                raise OutOfTime(error.message) from error
            raise


def rehearsed_answer(request: Figures) -> Answer:
    """Train one image on the CPU, and answer a request by a simulation."""
    spec = MemorySpec(**request["spec"])
    train(spec, 1, torch.device("cpu"), 1, reset_peaks=False, solver_steps=request["solver_steps"])
    rules = Rules(request["context_bytes"], bound="low")
    trace = trace_of(trace_key(spec))
    if not fits(trace, request["batch"], spec.cap_bytes, rules):
        return "out of memory"
    figures = replay(trace, request["batch"], rules)
    return {
        "peak_bytes": figures.peak_reserved + rules.context_bytes,
        "requested_bytes": figures.peak_requested,
        "allocated_bytes": figures.peak_allocated,
        "context_bytes": rules.context_bytes,
        "nvml_bytes": None,
        "retries": figures.retries,
    }


def forked_environment() -> dict[str, str]:
    """Return the environment variables that must be set before the first process is forked."""
    return allocator_setting(expandable=False)
