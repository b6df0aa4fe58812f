"""Cells in jobs of a real Slurm, and of submitit's local executor: whatever happens to a job."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.records import Status
from bench.records.store import ResultStore
from tests.bench.runner.slurm_host import slurm_host

pytest.importorskip("submitit")

ROOT = Path(__file__).parents[3]
PLENTY_S = 400
QUICK = [f"quick{number}:together" for number in range(9)]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    with slurm_host(tmp_path_factory.mktemp("slurm")) as environment:
        yield environment


@pytest.fixture
def start():
    """Start the command; what a failed test leaves running ends."""
    started = []

    def start(*arguments, **options):
        started.append(_start(*arguments, **options))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=PLENTY_S)


def _start(folder, *arguments, environment=os.environ):
    (folder / "progress").mkdir(exist_ok=True)
    places = ["--progress", str(folder / "progress"), "--results", str(folder / "results")]
    command = [sys.executable, "-m", "tests.bench.runner.cluster_command", *places, *arguments]
    variables = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    # A shell's background jobs ignore the signal, and so would their children.
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(command, cwd=ROOT, env=environment | variables, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, previous)


def cells(*texts):
    return [word for text in texts for word in ("--cell", text)]


def wait_until(condition, process):
    end = time.monotonic() + PLENTY_S
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.2)


def written(folder, name, word="step"):
    path = folder / "progress" / name
    return path.read_text().count(word) if path.exists() else 0


def let_go(folder, *names):
    for name in names:
        (folder / "progress" / name).with_suffix(".go").touch()


def ask(command, environment):
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()


def job_ids(environment):
    return ask(["squeue", "--me", "--noheader", "--array", "--format=%i"], environment)


def resumed(folder):
    """Name -> the step at which the last attempt began."""
    records = list(ResultStore(folder / "results").records())
    assert all(record.status is Status.OK for record in records)
    return {record.spec.task: record.values.training_step["resumed at"] for record in records}


@pytest.mark.slow
def test_jobs_that_are_killed_preempted_or_timed_out_are_resumed(slurm, start, tmp_path):
    slow = ["killed", "requeued", "timeout"]
    arguments = [*cells(*QUICK, *slow), "--executor", "slurm", "--cluster-minutes", "30", "--partition", "main"]
    process = start(tmp_path, *arguments, environment=slurm)
    wait_until(lambda: all(written(tmp_path, name) > 2 for name in slow), process)
    (array,) = {name.partition("_")[0] for name in job_ids(slurm)}
    ask(["scontrol", "update", f"jobid={array}_3", "timelimit=1"], slurm)
    ask(["scancel", "--signal=KILL", f"{array}_1"], slurm)
    ask(["scontrol", "requeue", f"{array}_2"], slurm)
    wait_until(lambda: all(written(tmp_path, name, "begin") > 1 for name in slow), process)
    let_go(tmp_path, *slow)
    _, said = process.communicate(timeout=PLENTY_S)
    assert process.returncode == 0, said
    found = resumed(tmp_path)
    assert found.keys() == {*(name.partition(":")[0] for name in QUICK), *slow}
    assert min(found[name] for name in slow) > 0
    assert re.search(
        rf"calls killed m variant: job {array}_1 ended without an answer, sent again; see \S+_log.err", said
    )
    assert job_ids(slurm) == []
    log = next((tmp_path / "results" / "cluster").glob(f"*/{array}_3_0_log.err"))
    assert "Caught signal SIGUSR2" in log.read_text()


@pytest.mark.slow
def test_an_interrupt_cancels_the_jobs(slurm, start, tmp_path):
    arguments = [*cells("quick:together", "slow"), "--executor", "slurm", "--cluster-minutes", "30"]
    process = start(tmp_path, *arguments, environment=slurm)
    stored = tmp_path / "results" / "calls"
    wait_until(lambda: written(tmp_path, "slow") > 2 and stored.exists(), process)
    wait_until(lambda: len(job_ids(slurm)) == 1, process)
    time.sleep(5)  # for the command to learn of it
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=PLENTY_S)
    assert process.returncode == 130
    assert "1 job cancelled; 1 of 2 cells are known to be stored in" in said
    end = time.monotonic() + PLENTY_S
    while job_ids(slurm):
        assert time.monotonic() < end
        time.sleep(0.5)


@pytest.mark.slow
def test_a_partition_that_is_not_there_is_told_in_a_line(slurm, start, tmp_path):
    process = start(tmp_path, *cells("a:x"), "--executor", "slurm", "--partition", "nowhere", environment=slurm)
    _, said = process.communicate(timeout=PLENTY_S)
    assert process.returncode == 2
    assert said.splitlines()[-1].startswith("error: --executor slurm: the jobs were refused:")
    assert "invalid partition" in said


@pytest.mark.slow
def test_local_jobs_are_resumed_and_sent_again(start, tmp_path):
    arguments = [*cells(*QUICK, "warned", "killed"), "--executor", "local", "--cluster-jobs", "3"]
    process = start(tmp_path, *arguments)
    wait_until(lambda: written(tmp_path, "warned") > 2 and written(tmp_path, "killed") > 2, process)
    folder = next((tmp_path / "results" / "cluster").iterdir())
    warned, killed = sorted(int(path.name.partition("_")[0]) for path in folder.glob("*_submitted.pkl"))[-2:]
    (task,) = ask(["pgrep", "-P", str(warned)], os.environ)
    os.kill(int(task), signal.SIGUSR2)  # as before a time-out
    (task,) = ask(["pgrep", "-P", str(killed)], os.environ)
    os.kill(int(task), signal.SIGKILL)
    wait_until(lambda: all(written(tmp_path, name, "begin") > 1 for name in ("warned", "killed")), process)
    let_go(tmp_path, "warned", "killed")
    _, said = process.communicate(timeout=PLENTY_S)
    assert process.returncode == 0, said
    found = resumed(tmp_path)
    assert len(found) == 11
    assert min(found["warned"], found["killed"]) > 0
    assert said.count("ended without an answer, sent again") == 1
