"""The commands, from a wheel installed elsewhere, in an empty folder."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.records.store import ResultStore

ROOT = Path(__file__).resolve().parents[2]
PAPER_BATCHES = 3 * 4


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the contents of a wheel that was built without leftovers, beside this environment's libraries."""
    site, checkout = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("checkout")
    for package in ("bench", "models", "operators"):
        shutil.copytree(ROOT / package, checkout / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout)
    pip = [sys.executable, "-m", "pip", "--quiet", "install", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(site), str(checkout)], check=True, capture_output=True)
    shutil.rmtree(checkout)
    return site


def run(installed, folder, *arguments):
    environment = os.environ | {"PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1", "MPLBACKEND": "Agg"}
    command = [sys.executable, "-m", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_wheel_holds_everything_that_the_packages_read(installed):
    for package in ("bench", "models", "operators"):
        files = {path.relative_to(ROOT) for path in (ROOT / package).rglob("*") if path.suffix != ".pyc"}
        assert {str(path) for path in files if (ROOT / path).is_file() and not (installed / path).is_file()} == set()
        assert (installed / package / "py.typed").is_file()


def test_it_tells_its_version_and_its_commands(installed, tmp_path):
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]
    told = run(installed, tmp_path, "bench", "--version")
    assert told.stdout == f"memory-efficient-reconstruction-benchmark {version}\n", told.stderr
    script = installed / "bin" / "reconstruction-bench"
    environment = os.environ | {"PYTHONPATH": str(installed)}
    answer = subprocess.run(
        [sys.executable, script, "memory", "--help"], env=environment, capture_output=True, text=True
    )
    assert answer.stdout.startswith("Usage: reconstruction-bench memory [OPTIONS]"), answer.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_small_study_goes_to_the_folders_results_and_reports(installed, tmp_path):
    small = ("--task", "deblur", "--model", "luser-sw")
    memory = run(installed, tmp_path, "bench", "memory", "--cap", "10GB", "--image-size", "32", *small)
    assert memory.returncode == 0, memory.stderr
    calls = run(installed, tmp_path, "bench", "calls", *small)
    assert calls.returncode == 0, calls.stderr
    assert {record.spec.kind for record in ResultStore(tmp_path / "results").records()} == {"memory", "calls"}
    listed = run(installed, tmp_path, "bench", "results", "list")
    assert listed.stdout.splitlines()[-1] == "2 records", listed.stderr
    rendered = run(installed, tmp_path, "bench", "report")
    assert rendered.returncode == 0, rendered.stderr
    assert {"README.md", "table3.tex", "table4.tex"} <= {path.name for path in (tmp_path / "reports").iterdir()}
    assert {path.name for path in tmp_path.iterdir()} == {"results", "reports"}


@pytest.mark.parametrize("command", ["results list", "report"])
def test_without_records_an_empty_folder_stays_empty(installed, tmp_path, command):
    answer = run(installed, tmp_path, "bench", *command.split())
    assert answer.returncode == 2
    assert "results" in answer.stderr
    assert not list(tmp_path.iterdir())


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
