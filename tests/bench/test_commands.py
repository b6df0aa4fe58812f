"""The commands as a user meets them: real processes, real exit codes, one line for a mistake."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bench.records.store import ResultStore

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments, cwd=ROOT):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["bench.memory", "--task", "debulr"],
            "unknown task 'debulr'; did you mean 'deblur'? known: deblur, ct, mri4x, mri8x",
        ),
        (
            ["bench.memory", "--model", "luser"],
            "unknown model 'luser'; did you mean 'luser-sw'? known: lu-dncnn, deq4ip",
        ),
        (
            ["bench.memory", "--cap", "10XB"],
            "cannot read memory size '10XB': write a number and one of B, KB, MB, GB, TB",
        ),
        (["bench.memory", "--cap", "0GB"], "memory size '0GB' must be 1B at least"),
        (["bench.memory", "--backend", "cuda"], "--backend cuda needs a CUDA device"),
        (["bench.memory", "--device", "banana"], "unknown device 'banana': write cpu, cuda or cuda:N"),
        (["bench.memory", "--device", "cuda", "--backend", "auto", "--task", "zz"], "unknown task 'zz'"),
        (["bench.memory", "--model", "no_such_module:Model"], "cannot import model 'no_such_module:Model'"),
        (["bench.calls", "--model", "torch:relu"], "called with channels=1, 'torch:relu' raises TypeError: relu()"),
        (["bench.accuracy"], "nothing selected: give --all, or --task, --model or --loss"),
        (["bench.accuracy", "--all", "--scale", "smal"], "unknown scale 'smal'; did you mean 'small'?"),
        (["bench.accuracy", "--all", "--data", "nowhere"], "data folder 'nowhere' does not exist"),
        (
            ["bench.accuracy", "--all", "--data", "deblur=README.md"],
            "'README.md' is a file; name the folder that holds",
        ),
        (["bench.accuracy", "--all", "--data", "debulr=."], "unknown task 'debulr'; did you mean 'deblur'?"),
        (["bench.accuracy", "--all", "--device", "tpu9"], "unknown device 'tpu9'"),
        (["bench.accuracy", "--model", "deq4ip", "--loss", "aux"], "nothing to train"),
        (
            ["bench.accuracy", "--model", "lu-dncnn", "--jacobian-weight", "1"],
            "--jacobian-weight: no fixed point in lu-dncnn",
        ),
        (
            ["bench.accuracy", "--model", "tests.bench.brightness:Brightness", "--pretrain-steps", "5"],
            "--pretrain-steps: no denoiser in tests.bench.brightness:Brightness",
        ),
        (["bench.accuracy", "--all", "--jacobian-weight", "-1"], "jacobian-weight"),
        (["bench.accuracy", "--task", "ct", "--data-root", "nowhere"], "'nowhere' does not exist"),
        (["bench.accuracy", "--task", "ct", "--example", "ct=nothing"], "task ct: --example: "),
        (["bench.references", "--task", "diffraction"], "no reference method for diffraction: the operator is not"),
        (["bench.solvers", "--tolerance", "0"], "tolerance"),
        (["bench.solvers", "--size", "3"], "size"),
        (["bench.calls", "--nonsense"], "No such option"),
        (["bench", "calls", "--nonsense"], "No such option"),
        (["bench", "memory", "--task", "debulr"], "unknown task 'debulr'; did you mean 'deblur'?"),
    ],
)
def test_a_mistake_is_told_in_one_line(arguments, message, tmp_path):
    answer = run(*arguments, "--results", tmp_path / "results")
    assert answer.returncode == 2
    assert len(answer.stderr.splitlines()) == 1
    assert message in answer.stderr
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("task", "missing"), [("deblur", "train"), ("ct", "ground_truth_train_000.hdf5"), ("mri4x", "singlecoil_train")]
)
def test_a_data_folder_without_its_files_is_named(task, missing, tmp_path):
    answer = run("bench.accuracy", "--task", task, "--data", tmp_path, "--results", tmp_path / "results")
    assert answer.returncode == 2
    assert len(answer.stderr.splitlines()) == 1
    assert str(tmp_path) in answer.stderr
    assert missing in answer.stderr


def test_checking_data_says_by_its_exit_code_what_it_found(tmp_path, write_photo):
    for folder in ("train", "val", "test"):
        write_photo(tmp_path / "photos" / folder / "a.png")
    sound = run("bench.data", "check", "--data", tmp_path / "photos")
    assert sound.returncode == 0, sound.stderr
    (tmp_path / "photos" / "val" / "a.png").write_text("<html>")
    broken = run("bench.data", "check", "--data", tmp_path / "photos", "--task", "deblur")
    assert broken.returncode == 1
    assert broken.stdout.startswith(f"{tmp_path / 'photos' / 'val' / 'a.png'}: is an HTML page")
    absent = run("bench.data", "check", "--data", tmp_path / "nowhere")
    assert absent.returncode == 2
    assert absent.stderr == f"error: {tmp_path / 'nowhere'}: no such folder\n"


def test_memory_prints_the_documented_rows_and_skips_them_the_second_time(tmp_path):
    arguments = [
        "bench.memory",
        "--cap",
        "8GB",
        "--cap",
        "10 GiB",
        "--task",
        "ct",
        "--model",
        "deq4ip",
        "--format",
        "json",
    ]
    first = run(*arguments, "--results", tmp_path)
    assert first.returncode == 0, first.stderr
    rows = json.loads(first.stdout)
    assert [row["cap_bytes"] for row in rows] == [8 * 2**30, 10 * 2**30]
    keys = "task model policy cap_bytes max_batch parameters trainable_parameters peak_bytes next_peak_bytes"
    more = "precision image_shape bytes_per_image sure_batch possible_batch slower_batch"
    assert list(rows[0]) == [*keys.split(), "backend", "device", "status", *more.split()]
    for row in rows:
        assert row["peak_bytes"] <= row["cap_bytes"] < row["next_peak_bytes"]
        assert row["max_batch"] % 2 == 0
        assert row["parameters"] == 556_033
    second = run(*arguments, "--results", tmp_path)
    assert json.loads(second.stdout) == rows
    assert second.stderr.count("stored already") == 2


def test_a_users_own_model_gets_a_row(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from models import LuserSW\n"
        "class Two(LuserSW):\n"
        "    def __init__(self, channels, **options):\n"
        "        super().__init__(channels, num_stages=2, **options)\n"
    )
    answer = run(
        "bench.memory",
        "--model",
        "mine:Two",
        "--task",
        "ct",
        "--cap",
        "8GB",
        "--format",
        "json",
        "--results",
        tmp_path / "r",
        cwd=tmp_path,
    )
    assert answer.returncode == 0, answer.stderr
    (row,) = json.loads(answer.stdout)
    assert row["model"] == "mine:Two"
    assert row["max_batch"] > 2  # the paper's eight stages fit 2


def test_calls_counts_eight_of_each_for_unrolled_models(tmp_path):
    answer = run("bench.calls", "--task", "deblur", "--model", "luser-sw", "--model", "deq4ip", "--results", tmp_path)
    assert answer.returncode == 0, answer.stderr
    counts = {r.spec.model: r.values for r in ResultStore(tmp_path).records()}
    assert counts["luser-sw"].reconstruction == {"adjoint.reconstruct": 8, "forward.reconstruct": 8}
    assert counts["deq4ip"].reconstruction["forward.solve"] > 2
    assert counts["deq4ip"].training_step["forward.backward"] > 2


@pytest.mark.slow
def test_training_improves_on_the_start_and_timing_and_report_follow(tmp_path):
    results = tmp_path / "results"
    trained = run("bench.accuracy", "--task", "deblur", "--model", "luser-dw", "--loss", "final", "--results", results)
    assert trained.returncode == 0, trained.stderr
    (record,) = ResultStore(results).records()
    gains = [item.psnr_db - item.start_psnr_db for item in record.values.items]
    assert sum(gains) / len(gains) > 1.0
    timed = run(
        "bench.timing",
        "--task",
        "deblur",
        "--model",
        "luser-dw",
        "--repeats",
        "1",
        "--batch",
        "1",
        "--results",
        results,
    )
    assert timed.returncode == 0, timed.stderr
    rendered = run("bench.report", "--results", results, "--output", tmp_path / "reports")
    assert rendered.returncode == 0, rendered.stderr
    for name in (
        "table2.tex",
        "table3.tex",
        "table4.tex",
        "table2.png",
        "table3.png",
        "table4.png",
        "figure2.png",
        "README.md",
    ):
        assert (tmp_path / "reports" / name).stat().st_size > 0


@pytest.mark.slow
@pytest.mark.parametrize("command", [["bench.calls"], ["bench", "calls"]])
def test_an_interrupt_leaves_the_store_whole(command, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", *command, "--results", str(tmp_path)]
    # A shell's background jobs, such as this test run may be one, ignore the signal, and so would their children.
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    signal.signal(signal.SIGINT, previous)
    with process:
        assert process.stderr.readline().startswith("[1/16]")
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 130
    assert rest.splitlines()[-1].startswith("interrupted: finished cells are stored")
    assert len(list(ResultStore(tmp_path).records())) >= 1
    assert not list(tmp_path.rglob("*.tmp"))
