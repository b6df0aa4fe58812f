"""The operators beside other libraries': the same map, times taken in turn, and the command as a user meets it."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.comparison import operator_race
from bench.comparison.operator_cases import FULL_SHAPES, PAPER, SCANS, build, build_radon, phantom
from bench.comparison.operator_cells import operator_cells
from bench.comparison.operator_peers import is_installed, peers
from bench.comparison.operator_race import DIRECTIONS, OperatorRace
from bench.comparison.peer_operator import Peer, ours
from bench.records import OperatorsSpec
from bench.records.store import ResultStore

ROOT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")
CASES = [("radon", scan) for scan in SCANS] + [("blur", PAPER), ("fourier", PAPER)]
INTERPOLATED = ("deepinv", "scikit-image")
"""Libraries whose Radon transform interpolates in another way than ours."""


def spec(operator="blur", scan=PAPER, size=16, repeats=2, batches=(1, 3)):
    return OperatorsSpec(
        operator=operator,
        scan=scan,
        image_shape=(size, size),
        data_shape=build(operator, scan, (size, size)).data_shape,
        batches=batches,
        repeats=repeats,
        peers=(),
    )


def relative(result, expected):
    return float((result - expected).norm() / expected.norm())


def test_full_size_scans_are_the_papers():
    full = {scan: SCANS[scan].angles(362) for scan in SCANS}
    assert full == {"kpi": 200, "lodopab": 200, "1000": 1000}
    operator = build_radon("lodopab", (362, 362))
    assert operator.data_shape == (1, 200, 513)
    assert operator.angles[1] == pytest.approx(5.5 * np.pi / 1000)
    assert operator.geometry.detector_spacing == pytest.approx(362 * 2**0.5 / 513)


@pytest.mark.parametrize("size", [48, 60, 61])  # scikit-image and deepinv: odd and even numbers of pixels and detectors
@pytest.mark.parametrize(("operator", "scan"), CASES)
def test_every_library_computes_the_same_map(operator, scan, size):
    mine = build(operator, scan, (size, size))
    x = phantom(mine, 2)
    y = mine(x)
    expected = mine.adjoint(y)
    for (library, _), make in peers(operator, CPU).items():
        peer = make(mine)
        interpolated = operator == "radon" and library in INTERPOLATED
        assert relative(peer.to_ours(peer.forward(x)), y) < (0.02 if interpolated else 1e-4), library
        image = peer.adjoint(peer.to_peer(y))
        factor = (expected * image).sum() / image.square().sum()
        assert relative(factor * image, expected) < (0.06 if interpolated else 1e-4), library
        if not interpolated:
            assert float(factor) == pytest.approx(1, rel=1e-4)


def test_astra_on_two_threads_is_astra_on_one(monkeypatch):
    pytest.importorskip("astra")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    mine = build("radon", "kpi", (24, 24))
    x = phantom(mine, 3)
    found = peers("radon", CPU)
    one, two = (found["astra", f"linear, {words}"](mine) for words in ("1 thread", "2 threads"))
    torch.testing.assert_close(two.forward(x), one.forward(x))
    torch.testing.assert_close(two.adjoint(mine(x)), one.adjoint(mine(x)), rtol=1e-5, atol=1e-4)


def test_what_is_not_installed_is_left_out(monkeypatch):
    monkeypatch.setattr("bench.comparison.operator_peers.is_installed", lambda library: library == "scikit-image")
    assert list(peers("radon", CPU)) == [("scikit-image", "")]
    assert peers("blur", CPU) == {}
    assert not is_installed("no_such_library")


def test_libraries_for_the_cpu_alone_are_left_out_on_cuda():
    for operator in FULL_SHAPES:
        assert {library for library, _ in peers(operator, torch.device("cuda"))} <= {"astra", "deepinv"}


def test_stored_bytes_count_every_table_once():
    operator = build("radon", "kpi", (24, 24))
    stored = ours(operator).stored_bytes
    tables = {buffer.data_ptr(): buffer.nbytes for buffer in operator.buffers()}
    assert stored == sum(tables.values()) > 0
    fourier = build("fourier", PAPER, (24, 24))
    # Its complex tables are made at the first use, and are no buffers.
    assert ours(fourier).stored_bytes > sum(buffer.nbytes for buffer in fourier.buffers())
    assert Peer(fourier, fourier.adjoint).stored_bytes == 0


def test_every_library_direction_and_batch_is_timed():
    values = OperatorRace(spec("radon", "kpi"), CPU).run()
    libraries = [(row.library, row.method) for row in values.libraries]
    assert libraries[0] == ("ours", "matrix")
    assert values.libraries[0].stored_bytes > 0
    assert values.libraries[0].forward_difference == values.libraries[0].adjoint_difference == 0
    timed = {(row.library, row.method, row.direction, row.batch): row.call_s for row in values.applications}
    assert set(timed) == {(*name, way, batch) for name in libraries for way in DIRECTIONS for batch in (1, 3)}
    assert all(len(seconds) >= 2 and min(seconds) > 0 for seconds in timed.values())
    doubled = {(row.doubled, row.direction, row.batch) for row in values.doublings}
    names = ("batch", "angles", "detectors")
    assert doubled == {(name, way, batch) for name in names for way in DIRECTIONS for batch in (1, 3)}


def test_operators_without_angles_double_the_batch_alone():
    assert {row.doubled for row in OperatorRace(spec(), CPU).run().doublings} == {"batch"}


def slow_clock(monkeypatch, call_s):
    """Let every call of the named peers seem to take so many seconds."""
    log = []

    def seconds(call, device):
        log.append(call())
        return call_s[log[-1]]

    monkeypatch.setattr(operator_race.clock, "seconds", seconds)
    return log


def test_turns_alternate_and_slow_libraries_sit_some_out(monkeypatch):
    log = slow_clock(monkeypatch, {"fast": 0.05, "slow": 0.5, "slower": 3.0})
    race = OperatorRace(spec(repeats=9), CPU)
    times = race._in_turn({name: (lambda name=name: name) for name in ("fast", "slow", "slower")}, "")
    assert {name: len(found) for name, found in times.items()} == {"fast": 36, "slow": 3, "slower": 3}
    assert log[:3] == ["fast", "slow", "slower"]  # warm-up, which is the first call of what takes seconds
    assert log[3:9] == [*["fast"] * 4, "slow", "slower"]
    assert log[-5:] == [*["fast"] * 4, "slower"]


def test_a_call_that_would_take_too_long_is_not_made(monkeypatch):
    monkeypatch.setattr(operator_race, "MAX_CALL_S", 0.0)
    rows = OperatorRace(spec(), CPU).run().applications
    assert {row.batch for row in rows} == {1}


def test_building_reads_nothing_from_the_disk_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("RECONSTRUCTION_CACHE_DIR", str(tmp_path))
    with operator_race._without_disk_cache():
        assert os.environ["RECONSTRUCTION_CACHE_DIR"] == ""
    assert os.environ["RECONSTRUCTION_CACHE_DIR"] == str(tmp_path)
    monkeypatch.delenv("RECONSTRUCTION_CACHE_DIR")
    with operator_race._without_disk_cache():
        pass
    assert "RECONSTRUCTION_CACHE_DIR" not in os.environ


def test_cells_cover_every_scan_once():
    cells = operator_cells(device=CPU, size=16)
    assert [cell.spec.subject for cell in cells] == CASES
    assert len({cell.spec.model_dump_json() for cell in cells}) == len(CASES)
    assert cells[0].label == "operators radon kpi 16x16 pixels"


def run(*arguments):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "bench.operators", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_the_command_stores_prints_and_skips(tmp_path):
    options = ("--operator", "radon", "--scan", "kpi", "--operator", "fourier", "--size", 16, "--repeats", 1)
    first = run(*options, "--results", tmp_path)
    assert first.returncode == 0, first.stderr
    assert "radon kpi, 16x16: ms per image" in first.stdout
    records = list(ResultStore(tmp_path).records())
    assert [record.spec.subject for record in records] == [("fourier", PAPER), ("radon", "kpi")]
    assert all(path.name.startswith(("radon-kpi-", "fourier-paper-")) for path in tmp_path.glob("operators/*"))
    again = run(*options, "--results", tmp_path)
    assert again.stderr.count("stored already") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--operator", "raddon"], "unknown operator 'raddon'; did you mean 'radon'? known: radon, blur, fourier"),
        (["--scan", "lodopap"], "unknown scan 'lodopap'; did you mean 'lodopab'? known: kpi, lodopab, 1000"),
        (["--size", "3"], "--size"),
        (["--repeats", "0"], "--repeats"),
        (["--device", "tpu"], "unknown device 'tpu'"),
    ],
)
def test_a_mistake_is_one_line(arguments, message):
    answer = run(*arguments)
    assert answer.returncode == 2
    assert answer.stderr.startswith("error: ")
    assert answer.stderr.count("\n") == 1
    assert message in answer.stderr
