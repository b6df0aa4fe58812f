"""Small data sets in the genuine layouts, and the check of a whole set."""

import io

import pytest

from bench.data.audits.check import Report, check
from bench.runner.progress import Reporter


@pytest.fixture
def problems():
    """Check a folder and return what is wrong with it, a line each."""

    def find(source, task=None, complete=False):
        report = Report()
        check(source, task, complete=complete, report=report, reporter=Reporter(0, io.StringIO()))
        assert all("\n" not in line for line in report.problems)
        return report.problems

    return find


@pytest.fixture
def lodopab(tmp_path, write_observations):
    for split in ("train", "validation", "test"):
        write_observations(tmp_path, split=split)
    return tmp_path


@pytest.fixture
def fastmri(tmp_path, write_volume):
    for seed, (folder, width) in enumerate((("train", 368), ("val", 372), ("test", 320))):
        write_volume(tmp_path / f"singlecoil_{folder}" / f"v{seed}.h5", 2, 640, width, seed=seed)
    return tmp_path
