"""What users ask of the memory commands: what fits, why, and what needs a GPU."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bench.cli import source_digest
from bench.cli.source_digest import our_code
from bench.memory.__main__ import main
from bench.memory.calibration import DOCUMENTED
from bench.memory.cells import memory_cells
from bench.memory.explain import timeline
from bench.memory.options import MemoryQuestion
from bench.memory.replay import fits, replay
from bench.memory.simulate import trace_key
from bench.memory.traces import CODE, trace_of
from bench.memory.what_fits import largest_side
from bench.records import MemorySpec
from bench.records.store import ResultStore
from bench.runner.run import run_cells
from bench.training import step
from models import Reconstruction, ReconstructionModel

SPEC = MemorySpec(
    task="deblur", model="deq4ip", image_shape=(64, 64), policy="recompute", cap_bytes=2**30, backend="simulate"
)


def ask(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments], standalone_mode=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["calibrate"], "absent: 0 CUDA devices"),
        (["record", "history.json.gz"], "absent: 0 CUDA devices"),
        (["calibrate", "--device", "cpu"], "a calibration measures a CUDA device, and cpu is none"),
        (["record", "history.json.gz", "--device", "cpu"], "a history is recorded on a CUDA device"),
        (["--calibration", "h100", "--cap", "8GB"], "unknown calibration 'h100'"),
        (["--model", "os:path"], "'os:path' is no models.ReconstructionModel: module"),
        (["--model", "builtins:dict"], "'builtins:dict' is no models.ReconstructionModel: type"),
        (["--model", "builtins:print"], "'builtins:print' has no source file"),
        (["--image-size", "8"], "cannot read image size '8'"),
        (["--device", "banana"], "unknown device 'banana': write cpu, cuda or cuda:N"),
        (["--backend", "simulate", "--device", "banana"], "unknown device 'banana'"),
        (["--device", "cuda:3"], "device 'cuda:3' is absent: 0 CUDA devices"),
        (["--backend", "cuda"], "--backend cuda needs a CUDA device"),
    ],
)
def test_bad_input_is_one_clear_message(arguments, message, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    answer = ask(*arguments)
    assert message in answer.exception.format_message()


def test_a_proof_on_a_processor_is_refused(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    answer = ask("--backend", "cuda", "--device", "cpu")
    assert "--backend cuda needs a CUDA device, and cpu is none" in answer.exception.format_message()


def test_validate_says_what_to_run_first(tmp_path):
    answer = ask("validate", "--results", tmp_path)
    assert "run python -m bench.memory --backend cuda" in answer.exception.format_message()


def test_a_cap_smaller_than_the_weights_is_a_record_that_says_what_one_image_takes(tmp_path):
    options = ("--task", "deblur", "--model", "deq4ip", "--image-size", "32", "--format", "json")
    answer = ask("--cap", "16MB", *options, "--results", tmp_path)
    (row,) = json.loads(answer.stdout)
    assert (row["max_batch"], row["status"]) == (0, "ok")
    (path,) = (tmp_path / "memory").iterdir()
    assert "not even one image fits: it takes" in json.loads(path.read_text())["message"]


class Broken(ReconstructionModel):
    """A user's model with a mistake in it."""

    def forward(self, y, operator):
        raise IndexError("list index out of range\nand more")


class LooksAtValues(ReconstructionModel):
    """A model whose course depends on what it computes."""

    def forward(self, y, operator):
        image = self.step_size * y
        return Reconstruction(image if bool(image.mean() > 0) else -image, ())


@pytest.mark.parametrize(
    ("model", "message"),
    [("Broken", "IndexError: list index out of range"), ("LooksAtValues", "the training step depends on values")],
)
def test_a_model_that_fails_is_a_line_and_an_exit_code(model, message):
    options = ("--gpu", "1GB", "--task", "deblur", "--image-size", "32", "--model", f"{__name__}:{model}")
    answer = ask("what-fits", *options)
    assert answer.exception is None
    assert answer.return_value == 1
    lines = [line for line in answer.stderr.splitlines() if "failed:" in line]
    assert [line.split(" failed: ")[0].split()[-2:] for line in lines] == [["paper", "fp32"], ["recompute", "fp32"]]
    assert all(message in line for line in lines)
    rows = json.loads(ask("what-fits", *options, "--format", "json").stdout)
    assert all(message in row["error"] for row in rows)


def test_what_fits_says_which_task_it_takes():
    assert "[default: ct]" in ask("what-fits", "--help").stdout


def test_the_largest_square_fits_and_the_next_does_not():
    side = largest_side(SPEC)
    assert side % 16 == 0
    peaks = [timeline(SPEC.model_copy(update={"image_shape": (n, n)}), 1) for n in (side, side + 16)]
    totals = [max(sum(course.layers.values())) for course in peaks]
    assert totals[0] <= SPEC.cap_bytes < totals[1]


def test_a_timeline_has_a_steps_phases_and_its_layers():
    found = timeline(SPEC, 4)
    assert [name for name, _ in found.phases] == ["forward", "backward", "optimiser"]
    assert {"CUDA context", "weights", "optimiser", "network"} <= set(found.layers)
    assert all((course >= 0).all() for course in found.layers.values())


def test_a_timeline_of_a_batch_that_fits_stays_below_the_cap():
    trace, rules = trace_of(trace_key(SPEC)), DOCUMENTED.expected
    cap = replay(trace, 16, rules).peak_reserved + rules.context_bytes - 1  # felt: cached segments are given back
    assert fits(trace, 16, cap, rules)
    found = timeline(SPEC.model_copy(update={"cap_bytes": cap}), 16)
    assert max(sum(found.layers.values())) <= cap


def test_explain_writes_a_picture_of_every_cell(tmp_path):
    options = ("--task", "deblur", "--model", "deq4ip", "--image-size", "32", "--cap", "1GB")
    answer = ask(*options, "--results", tmp_path / "r", "--explain", tmp_path / "pictures")
    assert answer.exception is None
    (picture,) = (tmp_path / "pictures").iterdir()
    assert picture.name == "deblur-deq4ip-paper-fp32-1GB.png"
    assert picture.stat().st_size > 10_000


def test_cells_of_one_trace_share_a_process_and_each_is_stored_as_soon_as_it_is_known(tmp_path):
    question = MemoryQuestion(image_shape=(32, 32))
    cells = memory_cells(["deblur"], ["deq4ip", "lu-dncnn"], ["recompute"], [2**30, 2**31], None, question)
    assert cells[0].group == cells[1].group != cells[2].group
    run_cells(cells[:1], ResultStore(tmp_path))
    records = run_cells(cells, ResultStore(tmp_path))
    assert [record.spec for record in records] == [cell.spec for cell in cells]
    assert records[0].values.max_batch < records[1].values.max_batch


def batch_of(folder, *options):
    answer = ask(
        "--task",
        "deblur",
        "--model",
        "luser-sw",
        "--policy",
        "paper",
        "--image-size",
        "48x48",
        "--cap",
        "1GB",
        "--format",
        "json",
        "--results",
        folder,
        *options,
    )
    (row,) = json.loads(answer.stdout)
    return row["max_batch"]


def test_traces_on_disk_serve_until_they_are_forced(tmp_path, monkeypatch):
    monkeypatch.setenv("RECONSTRUCTION_CACHE_DIR", str(tmp_path / "cache"))
    trace_of.cache_clear()
    right = batch_of(tmp_path / "a")
    (kept,) = (tmp_path / "cache").iterdir()
    with np.load(kept) as arrays:
        changed = dict(arrays)
    changed["requests"][:, 1] *= 2
    np.savez(kept, **changed)
    trace_of.cache_clear()
    assert batch_of(tmp_path / "b") < right
    assert batch_of(tmp_path / "c", "--force") == right
    trace_of.cache_clear()


def test_a_trace_depends_on_the_step_that_it_traces(tmp_path, monkeypatch):
    before = our_code.__wrapped__(*CODE)
    changed = tmp_path / "step.py"
    changed.write_text(Path(step.__file__).read_text().replace("Adam(", "SGD("))
    find = source_digest._file_of
    monkeypatch.setattr(source_digest, "_file_of", lambda name: changed if name == step.__name__ else find(name))
    assert our_code.__wrapped__(*CODE) != before
