"""The four commands that users know, from a wheel installed elsewhere, in an empty folder."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.records.store import ResultStore

ROOT = Path(__file__).resolve().parents[2]
PAPER_BATCHES = 3 * 4


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the wheel's contents, beside the libraries of this environment."""
    site = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "--quiet", "install", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(site), str(ROOT)], check=True, capture_output=True)
    return site


def run(installed, folder, *arguments):
    environment = os.environ | {"PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1", "MPLBACKEND": "Agg"}
    command = [sys.executable, "-m", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_largest_batches_under_a_cap(installed, tmp_path):
    answer = run(installed, tmp_path, "bench.memory", "--cap", "10GB", "--format", "json")
    assert answer.returncode == 0, answer.stderr
    rows = json.loads(answer.stdout)
    assert len(rows) == PAPER_BATCHES
    assert {row["status"] for row in rows} == {"ok"}
    assert len(list(ResultStore(tmp_path / "results").records())) == PAPER_BATCHES
    assert {path.name for path in tmp_path.iterdir()} == {"results"}


@pytest.mark.slow
def test_all_trainings_then_their_tables(installed, tmp_path):
    options = ("--steps", "2", "--pretrain-steps", "0", "--device", "cpu")
    answer = run(installed, tmp_path, "bench.accuracy", "--all", *options)
    assert answer.returncode == 0, answer.stderr
    records = list(ResultStore(tmp_path / "results").records())
    assert len(records) == 4 * (4 + 3)  # deq4ip has no auxiliary loss
    rendered = run(installed, tmp_path, "bench.report")
    assert rendered.returncode == 0, rendered.stderr
    assert {"README.md", "table2.png", "table2.tex"} <= {path.name for path in (tmp_path / "reports").iterdir()}


def test_tox_runs_the_same_commands():
    import configparser

    tox = configparser.ConfigParser()
    tox.read(ROOT / "tox.ini")
    assert tox["testenv:tables"]["commands"].strip() == "python -m bench.report {posargs}"
    assert tox["testenv:check"]["commands"].strip() == "python -m bench.check {posargs}"
