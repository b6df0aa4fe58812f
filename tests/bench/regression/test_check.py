"""The command as CI meets it: real processes and their exit codes."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from bench.regression.baseline import FOLDER, ROOT, ToleranceBaseline, read_baseline, write_baseline

WEIGHTS = "deblur-lu-dncnn-*.safetensors"


def check(*arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(
        [sys.executable, "-m", "bench.check", *map(str, arguments)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_does_not_import_torch():
    code = "import sys, bench.check; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_mistakes_end_in_one_line_and_exit_code_2(tmp_path):
    (tmp_path / "exact.json").write_text('{"gate": "exact"}')
    for arguments, message in [
        (["--baseline", tmp_path / "nowhere"], "exact.json: cannot read the baseline: No such file"),
        (["--baseline", tmp_path, "--only", "exact"], "exact.json: not a valid baseline: changelog: Field required"),
        (["--changelog", "why"], "--changelog and --python are for --update"),
        (["--only", "speed"], "'speed' is not one of 'exact', 'tolerance', 'ratio'"),
    ]:
        answer = check(*arguments)
        assert answer.returncode == 2, answer.stderr
        assert len(answer.stderr.splitlines()) == 1
        assert message in answer.stderr


@pytest.fixture
def one_weights_file(tmp_path):
    """A results folder with one file of weights, and a function that writes a baseline for it."""
    (path,) = (ROOT / "results" / "weights").glob(WEIGHTS)
    (tmp_path / "results" / "weights").mkdir(parents=True)
    shutil.copy(path, tmp_path / "results" / "weights")
    stored = read_baseline(ToleranceBaseline, FOLDER)

    def write(better_db):
        values = {path.stem: tuple(value + better_db for value in stored.psnr_db.reference.values[path.stem])}
        reference = stored.psnr_db.reference.model_copy(update={"values": values})
        psnr_db = stored.psnr_db.model_copy(update={"reference": reference})
        write_baseline(stored.model_copy(update={"psnr_db": psnr_db}), tmp_path / "baseline")

    return tmp_path, write


@pytest.mark.slow
def test_exit_codes_tell_whether_quality_was_lost(one_weights_file):
    folder, write = one_weights_file
    options = ["--only", "tolerance", "--baseline", folder / "baseline", "--results", folder / "results"]
    write(0.0)
    sound = check(*options, "--summary", folder / "summary.md")
    assert sound.returncode == 0, sound.stderr
    assert "Nothing differs from the baseline." in (folder / "summary.md").read_text()
    write(0.3)
    worse = check(*options, "--summary", folder / "summary.md", "--format", "json")
    assert worse.returncode == 1
    (finding,) = json.loads(worse.stdout)
    assert finding["verdict"] == "regression"
    assert "- regression: tolerance: PSNR of weights: deblur-lu-dncnn" in (folder / "summary.md").read_text()
