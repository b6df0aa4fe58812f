"""Cells in processes of their own: what kills one costs nothing but that one."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch

from bench.records import CallsSpec, CallsValues, Status
from bench.records.store import ResultStore
from bench.runner.cell import Outcome, StudyCell
from bench.runner.run import run_cells
from bench.runner.running import Limits, Running
from tests.records import make_provenance

ROOT = Path(__file__).parents[3]
PLENTY_S = 300
SHORT_S = 10.0
"""More than a process takes to begin, its modules imported, on a busy machine."""


def answer(value, reporter):
    reporter.detail("counting")
    return Outcome(Status.OK, CallsValues(training_step={"forward": value}, reconstruction={}))


def tell(reporter):
    """Answer with what the process has of its surroundings."""
    threads, visible = torch.get_num_threads(), int(os.environ.get("CUDA_VISIBLE_DEVICES", "-1"))
    mark = float(os.environ.get("MARK_OF_A_TEST", "0"))
    return answer(0.0, reporter).__class__(
        Status.OK,
        CallsValues(
            training_step={"threads": threads, "gpu": visible, "mark": mark, "pid": os.getpid()}, reconstruction={}
        ),
    )


def abort(counted, reporter):
    with Path(counted).open("a") as file:
        file.write("x")
    os.abort()


def leave(reporter):
    sys.exit("enough")


def say(reporter):
    sys.stdout.write("to stdout")
    os.write(2, b"from beside Python\n")
    raise ArithmeticError("first line\nsecond line")


def hang(reporter):
    while True:
        time.sleep(1)


def chatter(reporter):
    while True:
        reporter.detail("still at it")
        time.sleep(0.05)


def take_all(reporter):
    return answer(float(torch.ones(2**31).sum()), reporter)


def not_here(reporter):
    raise NotImplementedError("no such operator here")


def abort_once(counted, reporter):
    if not Path(counted).exists():
        abort(counted, reporter)
    return answer(1.0, reporter)


def cell(task, measure, group=None, threads=1):
    spec = CallsSpec(task=task, model="m", image_shape=(4, 4), policy="paper", batch=1, training_steps=0)
    return StudyCell(spec, make_provenance(threads=threads), measure, "variant", apart=True, group=group)


def test_a_crash_a_hang_an_exit_and_a_lack_of_memory_cost_their_own_cells_only(tmp_path, capsys):
    cells = [
        cell("aborts", partial(abort, tmp_path / "counted")),
        cell("leaves", leave),
        cell("says", say),
        cell("hangs", hang),
        cell("takes-all", take_all),
        cell("not-here", not_here),
        cell("answers", partial(answer, 1.0)),
    ]
    limits = Limits(stall_s=SHORT_S, memory_bytes=6 * 2**30)
    records = run_cells(cells, ResultStore(tmp_path / "r"), Running(limits=limits))
    found = {record.spec.task: (record.status.value, record.message) for record in records}
    assert found == {
        "aborts": ("failed", "the process died of SIGABRT; 3 attempts"),
        "leaves": ("failed", f"SystemExit: enough; see leaves-m-{stem_end(cells[1])}.log"),
        "says": ("failed", f"ArithmeticError: first line second line; see says-m-{stem_end(cells[2])}.log"),
        "hangs": ("timeout", f"no progress for {SHORT_S:g} s; 3 attempts"),
        "takes-all": ("out_of_memory", found["takes-all"][1]),
        "not-here": ("unsupported", "no such operator here"),
        "answers": ("ok", ""),
    }
    assert "allocate" in found["takes-all"][1]
    assert (tmp_path / "counted").read_text() == "xxx"
    log = next((tmp_path / "r" / "calls").glob("says-*.log")).read_text()
    assert "to stdout" in log
    assert "from beside Python" in log
    assert "ArithmeticError" in log
    assert not list((tmp_path / "r" / "calls").glob("answers-*.log"))
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition("]")[0] for line in lines] == [f"[{number}/7" for number in range(1, 8)]


def stem_end(cell):
    return "-".join(ResultStore("r").path_of(cell.spec, cell.provenance).stem.split("-")[-2:])


def test_a_time_limit_holds_even_where_progress_is_reported(tmp_path):
    (record,) = run_cells([cell("a", chatter)], ResultStore(tmp_path), Running(limits=Limits(time_s=1.0)))
    assert record.status is Status.TIMEOUT
    assert record.message == "took more than 1 s; 3 attempts"


def test_a_crash_is_tried_again(tmp_path):
    (record,) = run_cells([cell("a", partial(abort_once, tmp_path / "counted"))], ResultStore(tmp_path))
    assert record.status is Status.OK


def test_cells_of_a_group_share_a_process_until_one_of_them_dies(tmp_path):
    cells = [
        cell("first", tell, "shared"),
        cell("second", tell, "shared"),
        cell("third", partial(abort, tmp_path / "counted"), "shared"),
        cell("fourth", tell, "shared"),
        cell("other", tell),
    ]
    records = run_cells(cells, ResultStore(tmp_path))
    first, second, fourth, other = (records[n].values.training_step["pid"] for n in (0, 1, 3, 4))
    assert first == second
    assert len({first, fourth, other, os.getpid()}) == 4
    assert records[2].status is Status.FAILED


def test_a_process_has_the_threads_and_the_variables_of_its_parent_and_each_job_a_gpu(tmp_path, monkeypatch):
    run_cells([cell("before", partial(answer, 1.0))], ResultStore(tmp_path))  # the server is older than the variable
    monkeypatch.setenv("MARK_OF_A_TEST", "7")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    cells = [cell(str(number), tell, threads=1) for number in range(4)]
    records = run_cells(cells, ResultStore(tmp_path), Running(jobs=2))
    told = [record.values.training_step for record in records]
    assert {row["threads"] for row in told} == {1}
    assert {row["mark"] for row in told} == {7}
    assert {row["gpu"] for row in told} == {3, 5}


SWEEP = """
import sys
from tests.bench.runner.test_apart import answer, cell, hang
from bench.cli import run
from bench.records.store import ResultStore
from bench.runner.run import run_cells
from functools import partial
import click
@click.command()
@click.argument("folder")
def main(folder):
    run_cells([cell("a", partial(answer, 1.0)), cell("b", hang)], ResultStore(folder))
run(main)
"""


@pytest.mark.parametrize(("stop", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_what_runs_ends_with_the_sweep_and_what_is_finished_is_stored(tmp_path, stop, code):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    # A shell's background jobs ignore the signal, and so would their children.
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, "-c", SWEEP, str(tmp_path)], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    )
    signal.signal(signal.SIGINT, previous)
    with process:
        assert any(line.startswith("[1/2] calls a m variant: ok") for line in iter(process.stderr.readline, ""))
        deadline = time.monotonic() + PLENTY_S
        while not (children := at_work("b-m-", tmp_path)) and time.monotonic() < deadline:
            time.sleep(0.2)
        process.send_signal(stop)
        assert process.wait(PLENTY_S) == code
        while any(Path(f"/proc/{child}").exists() and not zombie(child) for child in children):
            assert time.monotonic() < deadline
            time.sleep(0.2)
    assert [record.spec.task for record in ResultStore(tmp_path).records()] == ["a"]


def at_work(name, folder):
    """Processes that have the log of a cell open."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                links = [os.readlink(link) for link in (entry / "fd").iterdir()]
            except OSError:
                continue
            if any(str(folder) in link and name in link for link in links):
                found.append(int(entry.name))
    return found


def zombie(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
