"""The plan on a clock that isn't real: the order of the parts, their time, and what is kept of each."""

import json
import os
import tarfile
import time
from pathlib import Path

import pytest

from bench.gpu import driver
from bench.gpu.budget import Budget, OutOfTime
from bench.gpu.driver import Ending, archive_of, ledger_of, log_of, plan_lines, run_parts, store_findings, take_up
from bench.gpu.ledger import Ledger
from bench.gpu.plan import PARTS, proof_s, stem
from bench.gpu.site import Site
from bench.runner.forked import ForkServer

CHECK, CALIBRATION, PROOFS, HISTORY, TIMES, TRAINING = PARTS
FIRST_FIVE_S = 360


class Machine:
    """Parts that take as long as they are said to.

    Attributes:
        needs: part's name -> seconds until it is finished.
        launched: (part's name, seconds that it was given), in order.
    """

    def __init__(self, site, needs):
        self.site, self.needs, self.now, self.launched = site, dict(needs), 0.0, []

    def launch(self, part, limit_s):
        self.launched.append((part.name, limit_s))
        needed = self.needs[part.name]
        if isinstance(needed, Exception):
            log_of(part, self.site).write_text(f"Traceback\n{needed}\n")
            return Ending.FAILED
        self.now += min(needed, limit_s)
        self.needs[part.name] = needed - min(needed, limit_s)
        return Ending.FINISHED if self.needs[part.name] == 0 else Ending.UNFINISHED

    def run(self, minutes):
        return run_parts(self.site, Budget(60 * minutes, lambda: self.now), self.launch)


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path, "cuda", archives=tmp_path / "home")


def needs(**changes):
    return {part.name: 10 for part in PARTS} | changes


def read(path, name):
    with tarfile.open(path) as tar:
        return tar.extractfile(name).read().decode()


def test_parts_run_in_order_and_those_with_an_archive_are_skipped(site):
    machine = Machine(site, needs())
    assert set(machine.run(8).values()) == {Ending.FINISHED}
    assert [name for name, _ in machine.launched] == [part.name for part in PARTS]
    again = Machine(site, needs())
    assert set(again.run(8).values()) == {Ending.FINISHED}
    assert again.launched == []


def test_a_part_that_breaks_off_goes_on_in_what_is_left_before_training_begins(site):
    machine = Machine(site, needs(proofs=260, training=1000))
    assert machine.run(8) == {part.name: Ending.FINISHED for part in PARTS[:-1]} | {"training": Ending.UNFINISHED}
    assert [name for name, _ in machine.launched][-2:] == ["proofs", "training"]
    assert machine.now <= 480
    assert archive_of(PROOFS, site).exists()
    assert not archive_of(PROOFS, site, Ending.UNFINISHED).exists()
    assert sorted(path.name for path in site.archives.iterdir())[2] == "3-proofs.tar.gz"


@pytest.mark.parametrize("minutes", [0.1, 1, 3, 8])
def test_whatever_the_parts_need_the_time_is_kept(site, minutes):
    machine = Machine(site, needs(**{part.name: 10_000 for part in PARTS}))
    machine.run(minutes)
    assert machine.now <= 60 * minutes
    names = [part.name for part in PARTS[:-1]]
    assert [name for name, _ in machine.launched][:5] == names[: len(machine.launched)]


def test_the_first_five_parts_have_six_minutes_and_are_expected_to_need_less(site):
    assert sum(part.limit_s for part in PARTS[:-1]) <= FIRST_FIVE_S
    assert sum(part.estimate_s(site) for part in PARTS[:-1]) <= FIRST_FIVE_S
    assert all(part.estimate_s(site) <= part.limit_s for part in PARTS if part is not PROOFS)


def test_a_part_that_fails_takes_no_other_down_and_its_archive_says_why(site):
    machine = Machine(site, needs(calibration=RuntimeError("no kernel image")))
    endings = machine.run(8)
    assert endings.pop("calibration") is Ending.FAILED
    assert set(endings.values()) == {Ending.FINISHED}
    archive = archive_of(CALIBRATION, site, Ending.FAILED)
    assert json.loads(read(archive, "2-calibration.json"))["error"] == ["Traceback", "no kernel image"]
    assert read(archive, "2-calibration.log").endswith("no kernel image\n")
    mended = Machine(site, needs())
    mended.run(8)
    assert [name for name, _ in mended.launched] == ["calibration"]


def test_a_part_with_a_figure_that_failed_is_no_finished_one(site):
    Ledger(ledger_of(CHECK, site)).fail("step deq4ip", "ArithmeticError: not finite")
    assert Machine(site, needs()).run(8)["check"] is Ending.FAILED
    findings = json.loads(read(archive_of(CHECK, site, Ending.FAILED), "1-check.json"))
    assert findings["failures"] == {"step deq4ip": "ArithmeticError: not finite"}


def test_the_archive_of_another_machine_is_taken_up(site, tmp_path):
    Ledger(ledger_of(PROOFS, site)).put("probe", {"batch": 2})
    (site.results / "memory").mkdir(parents=True)
    (site.results / "memory" / "a.json").write_text("{}")
    archive = store_findings(PROOFS, site, Ending.UNFINISHED, 1.0)
    other = Site(tmp_path / "other", "cuda")
    other.folder.mkdir()
    (other.folder / archive.name).write_bytes(archive.read_bytes())
    archive_of(TIMES, other, Ending.FAILED).write_bytes(b"no archive")
    take_up(other)
    assert Ledger(ledger_of(PROOFS, other)).figures == {"probe": {"batch": 2}}
    assert (other.results / "memory" / "a.json").exists()


def test_the_plan_names_every_part_with_its_seconds(site):
    lines = plan_lines(site, 8)
    assert [line.split()[0] for line in lines] == [*map(stem, PARTS), "total"]
    assert f"{proof_s(site):.0f} s" in lines[2]


def test_figures_of_another_card_are_put_aside(site, monkeypatch):
    monkeypatch.setattr(driver, "pick_device", lambda name: name)
    for name, known in (("NVIDIA H100", {}), ("NVIDIA H100", {"probe": 2}), ("NVIDIA H200", {})):
        monkeypatch.setattr(driver, "device_name", lambda device, name=name: name)
        ledger = driver._ledger_here(PROOFS, site)
        assert ledger.figures.pop("place")[0] == name
        assert ledger.figures == known
        ledger.put("probe", 2)


def test_a_process_that_dies_or_hangs_is_no_finished_part(site, monkeypatch):
    launch = driver.forked_launch(site, ForkServer(["time"]))
    monkeypatch.setattr(driver, "GRACE_S", 0.0)
    monkeypatch.setattr(driver, "run_part", die)
    assert launch(CHECK, 300) is Ending.FAILED
    monkeypatch.setattr(driver, "run_part", hang)
    assert launch(CHECK, 3) is Ending.UNFINISHED


def die(name, site, limit_s):
    os._exit(0)


def hang(name, site, limit_s):
    time.sleep(600)


def test_a_part_runs_in_a_process_whose_output_is_its_log(site, monkeypatch):
    """In this process, but for its end and its redirected output."""
    ended = []
    monkeypatch.setattr(driver, "_ledger_here", lambda part, site: Ledger(ledger_of(part, site)))
    monkeypatch.setattr(driver.os, "_exit", ended.append)
    monkeypatch.setattr(driver.os, "dup2", lambda log, stream: None)
    for problem, ending in (
        (OutOfTime("late"), Ending.UNFINISHED),
        (KeyboardInterrupt(), Ending.UNFINISHED),
        (ValueError("wrong"), Ending.FAILED),
        (None, Ending.FINISHED),
    ):

        def run(work, problem=problem):
            assert work.budget.left_s <= 5
            if problem is not None:
                raise problem

        part = driver.Part("broken", "", run, lambda site: 0.0, 1.0)
        monkeypatch.setattr(driver, "PARTS", (part,))
        monkeypatch.setattr("bench.gpu.plan.PARTS", (part,))
        driver.run_part("broken", site, 5)
        assert ended.pop() == 0
        assert driver.ending_of(part, site).read_text() == ending.value
    assert Path(log_of(part, site)).exists()
