"""The version: one place says it, in a checkout and where pip installed it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import bench

ROOT = Path(__file__).resolve().parents[2]
VERSION = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]


def version_of(folder):
    """Return what a copy of the package in a folder says, installed or not."""
    program = "import bench; print(bench.__version__, bench.__file__)"
    command = [sys.executable, "-S", "-c", program]  # without site-packages, so that nothing is installed
    answer = subprocess.run(
        command, env={"PYTHONPATH": str(folder)}, cwd=folder, capture_output=True, text=True, check=True
    )
    version, path = answer.stdout.split()
    assert Path(path).is_relative_to(folder)
    return version


@pytest.fixture
def copied(tmp_path):
    (tmp_path / "bench").mkdir()
    shutil.copy(ROOT / "bench" / "__init__.py", tmp_path / "bench")
    return tmp_path


def test_a_checkout_tells_its_own_version():
    assert bench.__version__ == VERSION


def test_an_installed_package_tells_what_was_installed(copied):
    folder = copied / "memory_efficient_reconstruction_benchmark-7.8.9.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {bench.DISTRIBUTION}\nVersion: 7.8.9\n")
    assert version_of(copied) == "7.8.9"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="without site-packages there is no tomli")
def test_another_project_in_the_same_folder_does_not_count(copied):
    (copied / "pyproject.toml").write_text('[project]\nname = "another"\nversion = "1.2.3"\n')
    assert version_of(copied) == "unknown"


def test_an_unknown_attribute_stays_unknown():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        bench.nonsense  # noqa: B018


def test_the_command_tells_it():
    answer = subprocess.run([sys.executable, "-m", "bench", "--version"], cwd=ROOT, capture_output=True, text=True)
    assert (answer.returncode, answer.stdout) == (0, f"{bench.DISTRIBUTION} {VERSION}\n")


def test_the_package_name_is_the_projects():
    assert f'name = "{bench.DISTRIBUTION}"' in (ROOT / "pyproject.toml").read_text()
