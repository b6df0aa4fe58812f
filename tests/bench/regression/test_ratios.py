"""The rank tests on ratios of times: what raises an alarm, and what does not."""

import random
import shutil
import subprocess

import click
import pytest

from bench.regression import ratios
from bench.regression.baseline import ROOT
from bench.regression.ratios import WORKLOADS, confirmed, ratios_between, ratios_to_plain, slower_ones
from bench.regression.stopwatch import Stopwatch
from bench.regression.worktree import checked_out

PACKAGES = ("bench", "models", "operators")
SLOWER = """

import time as _time
_solve = SampleWiseSolver.__call__
def _slowly(self, *arguments, **options):
    started = _time.process_time()
    found = _solve(self, *arguments, **options)
    end = _time.process_time()
    while _time.process_time() < end + 0.3 * (end - started):
        pass
    return found
SampleWiseSolver.__call__ = _slowly
"""


class Noisy:
    """Times of a loaded machine: a twelfth of them jump, all drift, and those of ``slow`` are 1.3 times as long."""

    def __init__(self, seed, slow=()):
        self.random, self.slow, self.turn = random.Random(seed), slow, 0

    def seconds(self, workload):
        self.turn += 1
        jump = 1 + self.random.random() if self.random.random() < 1 / 12 else 1
        drift = 1 + 0.3 * (self.turn % 97) / 97
        return self.random.gauss(1, 0.04) * jump * drift * (1.3 if workload in self.slow else 1)


def stored():
    runs = [ratios_to_plain(Noisy(seed), WORKLOADS) for seed in range(3)]
    return {workload: sum((run[workload] for run in runs), ()) for workload in WORKLOADS}


def test_noise_raises_no_alarm():
    was = stored()
    for seed in range(100, 120):
        assert slower_ones(ratios_to_plain(Noisy(seed), WORKLOADS), was) == []
        assert slower_ones(ratios_between(Noisy(seed), Noisy(seed + 1000), WORKLOADS), None) == []


@pytest.mark.parametrize("slow", [("solver anderson",), ("training step deq4ip", "operator radon")])
def test_a_slowdown_by_three_tenths_is_found(slow):
    was = stored()
    for seed in range(100, 105):
        assert set(slower_ones(ratios_to_plain(Noisy(seed, slow), WORKLOADS), was)) == set(slow)
        assert set(slower_ones(ratios_between(Noisy(seed, slow), Noisy(seed + 1000), WORKLOADS), None)) == set(slow)


def test_what_is_slower_once_only_is_no_regression():
    asked = []

    def measure(workloads):
        asked.append(tuple(workloads))
        first = len(asked) == 1
        return {name: (1.5 if first and name == "solver picard" else 1.0,) * ratios.ROUNDS for name in workloads}

    found, slower = confirmed(measure, None)
    assert asked == [WORKLOADS, ("solver picard",)]
    assert slower == []
    assert set(found) == set(WORKLOADS)


def copied(folder, *, slower):
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", "*.json"))
    if slower:
        with (folder / "models" / "equilibrium" / "fixed_point.py").open("a") as file:
            file.write(SLOWER)
    return folder


@pytest.mark.slow
def test_a_solver_slowed_in_another_tree_is_found(tmp_path):
    names = ("solver picard", "operator gaussian-blur")
    with Stopwatch(copied(tmp_path / "slow", slower=True)) as ours, Stopwatch() as theirs:
        assert slower_ones(ratios_between(ours, theirs, names), None) == ["solver picard"]


@pytest.mark.slow
def test_the_same_code_in_another_tree_is_as_fast(tmp_path):
    names = ("solver picard", "operator gaussian-blur")
    with Stopwatch(copied(tmp_path / "same", slower=False)) as ours, Stopwatch() as theirs:
        assert slower_ones(ratios_between(ours, theirs, names), None) == []


def test_code_that_cannot_be_timed_is_told_in_one_line(tmp_path):
    (tmp_path / "torch.py").write_text("raise ValueError('broken')")
    message = r"cannot time 'solver picard' with the code in .*: ValueError: broken"
    with Stopwatch(tmp_path) as watch, pytest.raises(click.ClickException, match=message):
        watch.seconds("solver picard")


def test_another_commit_is_checked_out_beside_and_removed(tmp_path):
    if shutil.which("git") is None:
        pytest.skip("git is not installed")

    def git(*arguments):
        who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init", "-q")
    for text in ("old", "new"):
        (tmp_path / "file").write_text(text)
        git("add", "file")
        git("commit", "-qm", text)
    with checked_out("HEAD^", tmp_path) as tree:
        assert (tree / "file").read_text() == "old"
    assert not tree.exists()
    with pytest.raises(click.ClickException, match="invalid reference"), checked_out("nowhere", tmp_path):
        pass
