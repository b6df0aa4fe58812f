"""One operator by every library in one run: interleaved calls, stored tables, differences from ours."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from statistics import median
from typing import Literal, TypeVar

import torch
from torch import Tensor

from bench.comparison.operator_cases import build, build_radon, phantom
from bench.comparison.operator_peers import Build, Method, peers
from bench.comparison.peer_operator import Peer, ours
from bench.evaluation import clock
from bench.records import ApplicationRow, Direction, DoublingRow, LibraryRow, OperatorsSpec, OperatorsValues
from operators import LinearOperator, Radon
from operators.disk_cache import FOLDER_VARIABLE
from operators.radon.backends import backend_for

TURN_S = 0.2
"""What a library's turn should take: a fast one is called several times in it, a slow one sits turns out."""
MAX_CALLS = 5
FEWEST_TURNS = 2
LONG_S = 1.0
"""A call that takes longer gains nothing from a warm-up: its first one counts."""
MAX_CALL_S = 6.5
"""A call that its time at a smaller batch expects to take longer is not made."""

MOST_DOUBLED_ANGLES = 500
"""Twice as many as this would take a gigabyte, and push all else out of the disk cache."""

DIRECTIONS: tuple[Direction, ...] = ("forward", "adjoint")
Call = Callable[[], object]
K = TypeVar("K")


@dataclass(frozen=True)
class Contestant:
    """One library's implementation, with the time and memory to build it."""

    peer: Peer
    build_s: float


class OperatorRace:
    """Times our operator and every installed library's, call by call in turn, for one record.

    Args:
        spec: operator, sizes and turns.
        device: where to run.
        detail: told what is being measured.
    """

    def __init__(
        self, spec: OperatorsSpec, device: torch.device, detail: Callable[[str], None] = lambda text: None
    ) -> None:
        self.spec, self.device, self.detail = spec, device, detail
        self.operator = build(spec.operator, spec.scan, spec.image_shape).to(device)

    def run(self) -> OperatorsValues:
        """Measure every library, then our operator on doubled problems."""
        contestants = {method: self._built(method, make) for method, make in self.methods().items()}
        applications = self._applications(contestants)  # before the tables are counted: some are made in use
        libraries = tuple(self._library_row(method, contestant) for method, contestant in contestants.items())
        del contestants  # gigabytes, which the doubled problems may need
        return OperatorsValues(libraries=libraries, applications=applications, doublings=self._doublings())

    def methods(self) -> dict[Method, Build]:
        """Return what builds our implementations, then those of the installed libraries."""
        spec = self.spec

        def mine(backend: str) -> Build:
            return lambda _: ours(build_radon(spec.scan, spec.image_shape, backend=backend).to(self.device))

        names = tuple(dict.fromkeys((backend_for(self.device), "matrix")))
        if spec.operator == "radon":
            own: dict[Method, Build] = {("ours", name): mine(name) for name in names}
        else:
            own = {("ours", ""): lambda _: ours(build(spec.operator, spec.scan, spec.image_shape).to(self.device))}
        return own | peers(spec.operator, self.device)

    def _built(self, method: Method, make: Build) -> Contestant:
        self.detail(f"{' '.join(method)}: building")
        started = clock.now_s(self.device)
        with _without_disk_cache():
            peer = make(self.operator)
        return Contestant(peer, clock.now_s(self.device) - started)

    def _applications(self, contestants: Mapping[Method, Contestant]) -> tuple[ApplicationRow, ...]:
        rows = []
        for direction in DIRECTIONS:
            image_s: dict[Method, float] = {}
            for batch in sorted(self.spec.batches):
                x = phantom(self.operator, batch)
                y = self.operator(x)
                quick = [method for method in contestants if image_s.get(method, 0.0) * batch <= MAX_CALL_S]
                calls = {method: _call(contestants[method].peer, direction, x, y) for method in quick}
                for method, times in self._in_turn(calls, f"{direction}, batch {batch}").items():
                    image_s[method] = median(times) / batch
                    rows.append(
                        ApplicationRow(
                            library=method[0],
                            method=method[1],
                            direction=direction,
                            batch=batch,
                            call_s=tuple(times),
                        )
                    )
        return tuple(rows)

    def _in_turn(self, calls: Mapping[K, Call], what: str) -> dict[K, list[float]]:
        """Time calls turn by turn after one to warm up: drift of the machine hits all alike."""
        last: dict[K, float] = {}
        times: dict[K, list[float]] = {}
        for key, call in calls.items():
            self.detail(f"{what}: {' '.join(key) if isinstance(key, tuple) else key}")
            last[key] = clock.seconds(call, self.device)
            times[key] = [last[key]] if last[key] > LONG_S else []
        for turn in range(self.spec.repeats):
            self.detail(f"{what}: turn {turn + 1} of {self.spec.repeats}")
            for key, call in calls.items():
                if turn % _turns_apart(last[key], self.spec.repeats) == 0:
                    times[key] += [clock.seconds(call, self.device) for _ in range(_calls_a_turn(last[key]))]
                    last[key] = times[key][-1]
        return times

    def _library_row(self, method: Method, contestant: Contestant) -> LibraryRow:
        self.detail(f"{' '.join(method)}: difference")
        peer, x = contestant.peer, phantom(self.operator, 1)
        y = self.operator(x)
        expected, image = self.operator.adjoint(y), peer.adjoint(peer.to_peer(y))
        factor = (expected * image).sum() / image.square().sum()
        return LibraryRow(
            library=method[0],
            method=method[1],
            build_s=contestant.build_s,
            stored_bytes=peer.stored_bytes,
            forward_difference=_difference(peer.to_ours(peer.forward(x)), y),
            adjoint_difference=_difference(factor * image, expected),
        )

    def _doublings(self) -> tuple[DoublingRow, ...]:
        rows = [
            row
            for batch in self.spec.batches
            for row in self._doubling("batch", self.operator, batch, double_batch=True)
        ]
        if isinstance(self.operator, Radon) and self.operator.data_shape[1] <= MOST_DOUBLED_ANGLES:
            scan, shape = self.spec.scan, self.spec.image_shape
            more_angles = build_radon(scan, shape, more_angles=2).to(self.device)
            rows += [row for batch in self.spec.batches for row in self._doubling("angles", more_angles, batch)]
            del more_angles
            more_detectors = build_radon(scan, shape, more_detectors=2).to(self.device)
            rows += [row for batch in self.spec.batches for row in self._doubling("detectors", more_detectors, batch)]
        return tuple(rows)

    def _doubling(
        self,
        doubled: Literal["batch", "angles", "detectors"],
        larger: LinearOperator,
        batch: int,
        *,
        double_batch: bool = False,
    ) -> list[DoublingRow]:
        rows = []
        small, large = ours(self.operator), ours(larger)
        x, more = phantom(self.operator, batch), phantom(larger, 2 * batch if double_batch else batch)
        y, more_y = self.operator(x), larger(more)
        for direction in DIRECTIONS:
            calls = {"small": _call(small, direction, x, y), "large": _call(large, direction, more, more_y)}
            times = self._in_turn(calls, f"{doubled} doubled, {direction}, batch {batch}")
            rows.append(
                DoublingRow(
                    doubled=doubled,
                    direction=direction,
                    batch=batch,
                    call_s=tuple(times["small"]),
                    doubled_call_s=tuple(times["large"]),
                )
            )
        return rows


def _call(peer: Peer, direction: Direction, x: Tensor, y: Tensor) -> Call:
    if direction == "forward":
        return lambda: peer.forward(x)
    given = peer.to_peer(y)
    return lambda: peer.adjoint(given)


def _turns_apart(call_s: float, repeats: int) -> int:
    return max(1, min(ceil(call_s / TURN_S), (repeats - 1) // (FEWEST_TURNS - 1)))


def _calls_a_turn(call_s: float) -> int:
    return max(1, min(MAX_CALLS, int(TURN_S / max(call_s, 1e-9))))


def _difference(result: Tensor, expected: Tensor) -> float:
    return float((result - expected).norm() / expected.norm())


@contextmanager
def _without_disk_cache() -> Iterator[None]:
    """Let matrices be built, not read back."""
    before = os.environ.get(FOLDER_VARIABLE)
    os.environ[FOLDER_VARIABLE] = ""
    try:
        yield
    finally:
        if before is None:
            del os.environ[FOLDER_VARIABLE]
        else:
            os.environ[FOLDER_VARIABLE] = before
