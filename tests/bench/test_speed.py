"""The script that times our code beside what is possible."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bench.comparison import speed_cells, speed_pairs
from bench.comparison.speed_cells import speed_table
from bench.comparison.speed_pairs import WORK
from bench.records import SpeedValues, Status
from bench.records.store import ResultStore
from bench.report.tables.speed import TITLES

ROOT = Path(__file__).resolve().parents[2]


def test_every_work_has_its_name_in_the_report():
    assert list(WORK) == list(TITLES)


@pytest.mark.parametrize("name", WORK)
def test_every_work_is_measured(monkeypatch, name):
    if name.startswith("anderson"):
        pytest.importorskip("torchdeq")
    tiny = {"blur": (16, 16), "fourier": (16, 16), "radon": (16, 16)}
    for case, shape in tiny.items():
        monkeypatch.setitem(speed_pairs.FULL_SHAPES, case, shape)
    monkeypatch.setattr(speed_pairs, "WINDOW", (16, 16))
    work = {
        "fourier": lambda: speed_pairs._fourier(name.split("-")[1], WORK[name].batch),
        "blur": lambda: speed_pairs._blur(WORK[name].batch),
        "radon": lambda: speed_pairs._radon(name.split("-")[1], WORK[name].batch),
        "luser": lambda: speed_pairs._luser_step(1),
        "anderson": lambda: speed_pairs._solver(16),
    }[name.split("-")[0]]()
    for seconds in work.prepare()():
        assert 0 < seconds < 60


def test_slow_work_is_repeated_less(monkeypatch):
    class Silent:
        def detail(self, text):
            pass

    values = speed_cells._repeated(lambda: (2.0, 1.0), 31, Silent())
    assert values == SpeedValues(work_s=(2.0,) * 5, beside_s=(1.0,) * 5)
    assert len(speed_cells._repeated(lambda: (0.5, 1.0), 31, Silent()).work_s) == 31


def test_without_the_other_library_a_cell_says_so(monkeypatch):
    monkeypatch.setattr(speed_cells, "installed", lambda names: ())
    (cell,) = speed_cells.speed_cells(["anderson-64"])
    outcome = cell.measure(None)
    assert outcome.status is Status.UNSUPPORTED
    assert "pip install .[peers]" in outcome.message


def test_the_script_stores_and_prints(tmp_path):
    command = [sys.executable, "-m", "tests.benchmarks.speed", "--work", "blur-forward-8", "--repeats", "3"]
    answer = subprocess.run(
        [*command, "--results", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert answer.returncode == 0, answer.stderr
    assert "Gaussian blur" in answer.stdout
    (record,) = ResultStore(tmp_path).records()
    assert len(record.values.work_s) == 3
    assert speed_table([record]).row_count == 1
    assert torch.tensor(record.values.work_s).gt(0).all()
