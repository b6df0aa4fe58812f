"""GitHub's workflows: valid, and with fixed versions."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
PINNED = re.compile(r"[\w-]+/[\w-]+@[0-9a-f]{40}")


def jobs():
    return yaml.safe_load(WORKFLOW.read_text())["jobs"]


def test_every_job_ends_by_itself_and_uses_fixed_versions():
    for job in jobs().values():
        assert job["timeout-minutes"] <= 90
        assert all(PINNED.fullmatch(step["uses"]) for step in job["steps"] if "uses" in step)


def test_supported_versions_are_tested():
    project = (ROOT / "pyproject.toml").read_text()
    pythons, torches = jobs()["tox"]["strategy"]["matrix"]["python"], jobs()["torch"]["strategy"]["matrix"]["torch"]
    assert f'requires-python = ">={pythons[0]}"' in project
    oldest = torches[0].removeprefix("==").removesuffix(".*")
    assert f'"torch>={oldest}"' in project


def test_environments_that_jobs_run_exist():
    environments = (ROOT / "tox.ini").read_text()
    lines = [step["run"] for job in jobs().values() for step in job["steps"] if "run" in step]
    named = re.findall(r"tox -e (\w+)", "\n".join(lines))
    assert {"check", "newest"} <= set(named)
    assert all(f"[testenv:{name}]" in environments for name in named)


def test_actionlint_finds_nothing():
    command = shutil.which("actionlint")
    if command is None:
        pytest.skip("actionlint is not installed; tox -e workflows runs it")
    answer = subprocess.run([command, str(WORKFLOW)], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout
