"""The whole plan as a command, at tiny sizes on a CPU, in a checkout without a repository."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from bench.gpu.plan import PARTS, stem
from bench.records.store import ResultStore

ROOT = Path(__file__).parents[3]
COMMIT = "0123456789" * 4
MISSING = ("pandas", "matplotlib", "lightning_fabric", "jinja2")
PLENTY_S = 1500  # for machines that are busy; alone it takes less than a minute


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """The code without a repository, and without what the machine may lack."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("bench", "models", "operators"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in MISSING:
        (folder / f"{name}.py").write_text(f"raise ImportError('no {name} here')\n")
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def start(checkout, cache, *options):
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "TRITON_INTERPRET")}
    settings = {"BENCH_COMMIT": f"{COMMIT}-dirty", "RECONSTRUCTION_CACHE_DIR": str(cache), "PYTHONPATH": str(checkout)}
    command = [sys.executable, "-m", "bench.gpu", *options]
    return subprocess.Popen(
        command, cwd=checkout, env=kept | settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def findings(folder, part):
    return json.loads((folder / f"{stem(part)}.json").read_text())


@pytest.mark.slow
def test_a_rehearsal_that_is_killed_goes_on_where_it_was_and_stores_nothing_as_measured(checkout, cache, tmp_path):
    folder = tmp_path / "gpu"
    options = ("--rehearse", "--minutes", str(PLENTY_S / 60), "--output", str(folder))
    killed = start(checkout, cache, *options)
    ledger = folder / "ledgers" / "1-check.jsonl"
    end = time.monotonic() + PLENTY_S
    while not (ledger.exists() and ledger.read_text().count("\n") >= 2):
        assert time.monotonic() < end
        assert killed.poll() is None, killed.stdout.read()
        time.sleep(0.2)
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=PLENTY_S)  # until nobody holds the pipe: what was forked ends, too
    before = ledger.read_text()

    again = start(checkout, cache, *options)
    told, _ = again.communicate(timeout=PLENTY_S)
    assert again.returncode == 0, told + "".join(path.read_text() for path in sorted(folder.glob("*.log")))
    assert ledger.read_text().startswith(before)
    lines = ledger.read_text().splitlines()
    assert len({json.loads(line)["name"] for line in lines}) == len(lines)  # nothing was found twice
    for part in PARTS:
        with tarfile.open(folder / f"{stem(part)}.tar.gz") as tar:
            assert {f"{stem(part)}.json", f"{stem(part)}.log"} <= set(tar.getnames())
            assert not any(name.startswith("results") for name in tar.getnames())
        assert findings(folder, part)["rehearsal"]
    assert not (folder / "results").exists()
    assert "skipped" in findings(folder, PARTS[-1])["figures"]
    versions = findings(folder, PARTS[0])["figures"]["versions"]
    assert (versions["commit"], versions["dirty"]) == (COMMIT, True)
    memory = [record for record in ResultStore(folder / "rehearsal").records() if record.spec.kind == "memory"]
    assert len(memory) == 4
    for record in memory:
        assert (record.spec.backend, record.provenance.device) == ("simulate", "simulated")
        assert (record.provenance.commit, record.provenance.dirty) == (COMMIT, True)


def test_a_plan_is_printed_and_nothing_runs(checkout, cache, tmp_path):
    planned = start(checkout, cache, "--plan", "--output", str(tmp_path / "gpu"))
    told, _ = planned.communicate(timeout=PLENTY_S)
    assert planned.returncode == 0
    assert [line.split()[0] for line in told.splitlines()] == [*map(stem, PARTS), "total"]
    assert not (tmp_path / "gpu").exists()


def test_a_machine_without_a_gpu_is_refused_before_anything_is_written(checkout, cache, tmp_path):
    refused = start(checkout, cache, "--device", "cpu", "--output", str(tmp_path / "gpu"))
    told, _ = refused.communicate(timeout=PLENTY_S)
    assert refused.returncode == 2
    assert "--rehearse runs the plan without one" in told
    assert not (tmp_path / "gpu").exists()
