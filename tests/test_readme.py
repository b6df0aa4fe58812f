"""What README.md and docs/ tell to type: it is parsed by the command itself, and run where that is cheap."""

import os
import re
import shlex
import subprocess
import sys
from configparser import ConfigParser
from contextlib import suppress
from pathlib import Path

import click
import pytest

from bench.__main__ import COMMANDS
from bench.__main__ import main as bench

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(python3? -m bench[^`]*)`")
MODULE = re.compile(r"-m (bench[\w.]*)(.*)")


def blocks(path, language):
    return [body for found, body in FENCE.findall(path.read_text()) if found == language]


def lines(path):
    """All that is to be typed in a page."""
    typed = [line for body in blocks(path, "bash") for line in body.splitlines()]
    return [line.partition("  #")[0].strip() for line in (*typed, *INLINE.findall(path.read_text())) if line.strip()]


COMMAND_LINES = sorted({line for path in PAGES for line in lines(path) if MODULE.search(line)})


def parse(words):
    """Let every command on the way parse its options, and run none."""
    command, context = bench, None
    while True:
        context = command.make_context(command.name or "bench", list(words), parent=context)
        words = [*context._protected_args, *context.args]
        if not (isinstance(command, click.Group) and words):
            return
        _, command, words = command.resolve_command(context, words)


@pytest.fixture
def user(tmp_path, monkeypatch):
    """A folder with what pages suppose that a user has."""
    for name in ("DATA", "FOLDER", "PHOTOS"):
        (tmp_path / name).mkdir()
    (tmp_path / "a100.toml").touch()
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package" / "my_module.py").write_text("from models import LuserSW as MyModel\n")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("line", COMMAND_LINES)
@pytest.mark.usefixtures("user")
def test_a_command_takes_the_options_that_a_page_gives(line):
    module, rest = MODULE.search(line).groups()
    words = [*module.split(".")[1:], *shlex.split(rest.removesuffix("&").replace("KEY", "luser-sw"))]
    only_named = not rest.strip().partition(" ")[2]
    with suppress(click.exceptions.Exit, *([click.MissingParameter] if only_named else [])):  # --help, --version exit
        parse(words)


def test_pages_with_a_wrong_option_would_be_noticed():
    with pytest.raises(click.UsageError, match="No such option"):
        parse(["memory", "--capp", "8GB"])
    with pytest.raises(click.UsageError, match="No such option"):
        parse(["memory", "what-fits", "--gpu", "8GB", "--nonsense"])


def test_every_command_has_a_question_in_readme():
    named = {name for line in lines(ROOT / "README.md") for name in re.findall(r"-m bench\.(\w+)", line)}
    assert named == set(COMMANDS)


def test_tox_has_the_environments_that_pages_name():
    tox = ConfigParser()
    tox.read(ROOT / "tox.ini")
    known = {name.removeprefix("testenv:") for name in tox.sections()}
    named = {name for path in PAGES for name in re.findall(r"tox -e ([\w-]+)", path.read_text())}
    assert {"bench", "docs"} <= named <= known
    assert {"pip install tox && tox -e bench", "pip install tox && tox"} <= set(lines(ROOT / "README.md"))


def test_readme_is_short():
    assert len(README.split()) < 900


def test_findings_of_readme_are_those_of_the_reports():
    flags, proof, claims = (
        (ROOT / "reports" / f"{name}.tex").read_text() for name in ("memory-flags", "proof-table", "claims")
    )
    (least,) = re.findall(r"at least ([\d.]+) times", README)
    assert least == min(re.findall(r"float32 \(all other tables\).* & ([\d.]+) ", flags), key=float)
    (median,) = re.findall(r"median error of ([\d.]+) MiB", README)
    assert re.search(rf"Simulated allocator.*\\textbf\{{{median}\}}", proof)
    (ours,) = re.findall(r"LUSER-DW outperforms LU-DnCNN.*\n.*& ours & (.*)", claims)
    (told,) = re.findall(r"they are worse, by ([\d.]+) \(deblurring\), ([\d.]+) \(CT\) and ([\d.]+) \(MRI\)", README)
    assert re.findall(r"\$-\$([\d.]+) \[", ours)[:3] == list(told)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_that_a_page_names_exist(path):
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    if path.parent.name == "commands":
        links = [link for link in links if link.removesuffix(".md") not in COMMANDS]
    drawn = ("figures/", "commands/")  # made by docs/hooks.py
    links = [link for link in links if link and not link.removeprefix("../").startswith(drawn)]
    assert [link for link in links if not (path.parent / link).exists()] == []
    named = re.findall(r"`((?:bench|docs|examples|models|operators|tests)/[\w/]+\.\w+)`", text)
    assert [name for name in named if "/my_" not in name and not (ROOT / name).is_file()] == []


def executed(command, folder):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    answer = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_python_of_a_page_runs(path, tmp_path):
    for body in blocks(path, "python"):
        if "torchvision" in body:
            compile(body, str(path), "exec")
        else:
            executed([sys.executable, "-c", body], tmp_path)


@pytest.mark.slow
def test_readme_shows_what_its_first_question_prints(tmp_path):
    (shown,) = blocks(ROOT / "README.md", "text")
    (line,) = (line for line in lines(ROOT / "README.md") if "--policy paper" in line)
    printed = executed([sys.executable, *shlex.split(line)[1:]], tmp_path)
    assert [line.rstrip() for line in printed.splitlines()][: len(shown.splitlines())] == shown.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("start", ["--step examples.what_fits:make_step", "results list"])
def test_cheap_questions_of_readme_are_answered(start, tmp_path):
    (line,) = (line for line in lines(ROOT / "README.md") if start in line)
    results = ROOT / "results" if "list" in line else tmp_path
    assert len(executed([sys.executable, *shlex.split(line)[1:], "--results", str(results)], ROOT).splitlines()) > 3


@pytest.mark.slow
@pytest.mark.parametrize("name", ["accuracy", "timing", "calls", "references", "memory", "solvers", "operators"])
def test_long_questions_of_readme_say_what_they_would_run(name, tmp_path):
    line = next(
        line for line in lines(ROOT / "README.md") if re.search(rf"-m bench\.{name}\b(?!.*(what-fits|step))", line)
    )
    executed([sys.executable, *shlex.split(line)[1:], "--dry-run", "--results", str(tmp_path)], tmp_path)
    assert not list(tmp_path.iterdir())
