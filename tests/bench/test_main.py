"""The one command: every other in it, and what a shell completes."""

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from bench.__main__ import COMMANDS, main
from bench.cli.command import STORED, interrupt_says, run
from bench.cli.options import MODEL, TASK
from bench.memory.__main__ import COMMANDS as MEMORY_COMMANDS
from bench.runner.part import Command
from bench.tasks import PAPER_TASKS
from bench.tasks.scales import SCALES
from models import MODELS

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys
from bench.__main__ import start
sys.argv[0] = "reconstruction-bench"
try:
    start()
finally:
    assert "torch" not in sys.modules
"""


def run_module(*words):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "words", [["bench"], *(form for name in COMMANDS for form in (["bench", name], [f"bench.{name}"]))], ids=" ".join
)
def test_help_explains_itself(words):
    answer = run_module(*words, "--help")
    assert answer.returncode == 0
    assert answer.stdout.startswith(f"Usage: python -m {' '.join(words)} [")
    assert answer.stderr == ""


def test_bench_lists_every_command():
    answer = run_module("bench")
    assert answer.returncode == 0
    listed = answer.stdout.partition("Commands:\n")[2]
    assert [line.split()[0] for line in listed.splitlines()] == list(COMMANDS)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("bench memry", "unknown command 'memry'; did you mean 'memory'? known: all, memory,"),
        ("bench bench.memory", "unknown command 'bench.memory'; did you mean 'memory'?"),
        ("bench memory what-fit", "unknown command 'what-fit'; did you mean 'what-fits'?"),
        ("bench.memory what-fit", "unknown command 'what-fit'; did you mean 'what-fits'?"),
        ("bench --nonsense", "No such option"),
        ("bench data", "Missing command."),
        ("bench.results", "Missing command."),
    ],
)
def test_a_mistyped_command_is_told_in_one_line(words, message):
    answer = run_module(*words.split())
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr.startswith(f"error: {message}")
    assert len(answer.stderr.splitlines()) == 1


def test_every_command_of_the_benchmark_is_in_it():
    runnable, inner = set(), {"bench", "regression"}  # the one command, and a process of bench.check's
    for path in [*(ROOT / "bench").glob("*.py"), *(ROOT / "bench").glob("*/__main__.py")]:
        if "@click." in path.read_text():
            runnable.add(path.parent.name if path.stem == "__main__" else path.stem)
    assert set(COMMANDS) == runnable - inner


@pytest.mark.parametrize("lazy", [*COMMANDS.values(), *MEMORY_COMMANDS.values()], ids=lambda lazy: lazy.path)
def test_a_command_is_found_and_told_in_one_line(lazy):
    module, _, name = lazy.path.partition(":")
    assert isinstance(getattr(importlib.import_module(module), name), click.Command)
    assert len(lazy.about) < 70
    assert lazy.about.endswith((".", "?"))


def test_a_command_has_the_exit_code_that_it_has_alone(tmp_path):
    answer = CliRunner().invoke(main, ["results", "verify", "--results", tmp_path], standalone_mode=False)
    assert (answer.return_value, answer.output) == (0, "0 records: no problems\n")
    (tmp_path / "calls").mkdir()
    (tmp_path / "calls" / "broken.json").write_text("{")
    answer = CliRunner().invoke(main, ["results", "verify", "--results", tmp_path], standalone_mode=False)
    assert answer.return_value == 1


@pytest.mark.parametrize("message", ["nothing is stored", STORED])
def test_an_interrupt_says_what_is_lost_in_both_ways_of_calling(message, monkeypatch, capsys):
    def interrupted():
        raise KeyboardInterrupt

    alone = click.command()(interrupted if message == STORED else interrupt_says(message)(interrupted))
    for command, words in ((alone, []), (click.Group(commands={"alone": alone}), ["alone"])):
        monkeypatch.setattr(sys, "argv", ["bench", *words])
        with pytest.raises(SystemExit) as end:
            run(command)
        assert end.value.code == 130
        assert capsys.readouterr().err.splitlines()[-1] == f"interrupted: {message}"


def completed(line):
    """Return what a shell offers for the last word of a line, without waiting for torch."""
    words = line.split(" ")
    asked = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1), "_RECONSTRUCTION_BENCH_COMPLETE": "bash_complete"}
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | asked
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=False
    )
    assert answer.stderr == ""
    return [choice.removeprefix("plain,") for choice in answer.stdout.split()]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("reconstruction-bench ", list(COMMANDS)),
        ("reconstruction-bench me", ["memory"]),
        ("reconstruction-bench --v", ["--version"]),
        ("reconstruction-bench memory wh", ["what-fits"]),
        ("reconstruction-bench memory --any", ["--any-batch"]),
        ("reconstruction-bench data ch", ["check"]),
        ("reconstruction-bench accuracy --scale s", ["small"]),
        ("reconstruction-bench accuracy --loss ", ["final", "aux"]),
        ("reconstruction-bench memory --task deblur --model luser-", ["luser-sw", "luser-dw"]),
        ("reconstruction-bench memory --model no_such_module:Model --task mri", ["mri4x", "mri8x"]),
        ("reconstruction-bench memory --policy r", ["recompute"]),
        ("reconstruction-bench nonsense --m", []),
    ],
)
def test_a_shell_completes_commands_options_and_names(line, offered):
    assert completed(line) == offered


def test_names_that_a_shell_completes_are_names_that_are_taken():
    scale = next(option for option in importlib.import_module("bench.accuracy").main.params if option.name == "scale")
    for kind, names in ((TASK, PAPER_TASKS), (MODEL, MODELS), (scale.type, SCALES)):
        assert [item.value for item in kind.shell_complete(None, None, "")] == list(names)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_takes_the_completion_script(shell, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "_RECONSTRUCTION_BENCH_COMPLETE": f"{shell}_source"}
    command = [sys.executable, "-c", PROGRAM]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "reconstruction-bench" in answer.stdout
    if shutil.which(shell) is not None:
        script = tmp_path / "complete"
        script.write_text(answer.stdout)
        subprocess.run([shell, "-n", str(script)], check=True, capture_output=True)


def test_a_job_of_a_cluster_starts_the_one_command_again(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["reconstruction-bench", "calls", "--task", "ct"])
    with click.Context(main) as root, click.Context(click.Command("calls"), parent=root):
        assert Command.current() == Command("bench.__main__", "main", ("calls", "--task", "ct"))
