"""Published weights: graded as after training, and refused in one line where they are not what they say."""

import importlib
import os
import sys

import click
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from bench import accuracy
from bench.evaluation.grading import evaluate
from bench.evaluation.weights import WeightsError, save_weights
from bench.grade import main
from bench.records import AccuracySpec
from bench.records.recipe import Recipe
from bench.tasks import TASKS
from bench.training.published import grade_weights, load_model
from models import MODELS
from tests.bench.brightness import Brightness

SHAPE = (16, 16)
SPEC = AccuracySpec(
    task="ct",
    model="luser-sw",
    image_shape=SHAPE,
    loss="final",
    scale="quick",
    data="generated",
    policy="paper",
    recipe=Recipe(steps=1, batch=1, learning_rate=1e-3),
    train_images=1,
    test_images=2,
    seed=0,
)


@pytest.fixture
def model():
    torch.manual_seed(3)
    return MODELS["luser-sw"](channels=1)


@pytest.fixture
def path(tmp_path, model):
    save_weights(tmp_path / "weights.safetensors", model, SPEC)
    return tmp_path / "weights.safetensors"


def test_weights_from_a_file_grade_as_the_model_did(path, model):
    spec, loaded = load_model(path)
    assert spec == SPEC
    task = TASKS["ct"]
    images = task.load_split(None, "test", image_shape=SHAPE, count=2, seed=0)
    expected = evaluate(model, task.operator_at(SHAPE, torch.device("cpu")), task, images)
    assert grade_weights(loaded, spec, None).items == expected.items
    assert len(grade_weights(loaded, spec, None, test_images=1).items) == 1


def test_halves_are_loaded_into_a_model_and_statistics_stay_exact(tmp_path):
    torch.manual_seed(3)
    model = MODELS["lu-dncnn"](channels=1)
    for buffer in model.buffers():
        buffer.copy_(100_000 * torch.rand(buffer.shape))  # beyond float16's range
    file = tmp_path / "halves.safetensors"
    save_weights(file, model, SPEC.model_copy(update={"model": "lu-dncnn"}), half=True)
    loaded = load_model(file)[1]
    for (name, parameter), (_, own) in zip(loaded.named_parameters(), model.named_parameters(), strict=True):
        assert parameter.dtype == torch.float32, name
        assert torch.equal(parameter, own.half().float()), name
    for (name, buffer), (_, own) in zip(loaded.named_buffers(), model.named_buffers(), strict=True):
        assert torch.equal(buffer, own), name
    whole = tmp_path / "whole.safetensors"
    save_weights(whole, model, SPEC.model_copy(update={"model": "lu-dncnn"}))
    assert file.stat().st_size < 0.52 * whole.stat().st_size


@pytest.mark.parametrize(("command", "option"), [(main, ()), (accuracy.main, ("--weights",))])
def test_the_commands_print_what_they_graded(path, command, option):
    answer = CliRunner().invoke(command, [*option, str(path), "--device", "cpu"], env={"COLUMNS": "200"})
    assert answer.exit_code == 0, answer.output
    assert "luser-sw" in answer.output
    assert "generated" in answer.output


def broken(path, how, model):
    content = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "page":
        path.write_text("<!DOCTYPE html><html><body>quota exceeded</body></html>")
    elif how == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif how == "foreign":
        save_file(model.state_dict(), path)
    elif how == "other model":
        save_weights(path, model, SPEC.model_copy(update={"model": "lu-dncnn"}))
    elif how == "other channels":
        save_weights(path, model, SPEC.model_copy(update={"task": "deblur"}))
    else:
        save_weights(path, model, SPEC.model_copy(update={"task": "unheard-of"}))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("missing", "No such file"),
        ("page", "not a safetensors file: an HTML page"),
        ("truncated", "not a safetensors file"),
        ("foreign", "does not say which model it is of"),
        ("other model", "not weights of lu-dncnn for ct: "),
        ("other channels", "not weights of luser-sw for deblur: .* is .* in place of"),
        ("other task", "unknown task 'unheard-of'"),
    ],
)
def test_what_is_not_our_weights_is_refused_in_one_line(path, model, how, message):
    broken(path, how, model)
    with pytest.raises(WeightsError, match=message) as raised:
        load_model(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 400


CODE = """
from pathlib import Path
from tests.bench.brightness import Brightness
Path(__file__).with_name("ran").touch()
class Net(Brightness): pass
"""


@pytest.mark.parametrize(("command", "option"), [(main, ()), (accuracy.main, ("--weights",))])
def test_a_file_runs_code_of_others_only_where_the_command_line_names_it(tmp_path, monkeypatch, command, option):
    (tmp_path / "stranger.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "stranger", raising=False)
    importlib.invalidate_caches()
    path = tmp_path / "w.safetensors"
    save_weights(path, Brightness(3), SPEC.model_copy(update={"model": "stranger:Net", "task": "deblur"}))
    arguments = [*option, str(path), "--device", "cpu"]
    refused = CliRunner().invoke(command, arguments, standalone_mode=False)
    assert isinstance(refused.exception, click.ClickException)
    assert "runs only if you trust it and add --model stranger:Net" in str(refused.exception)
    assert not (tmp_path / "ran").exists()
    assert "stranger" not in sys.modules
    answer = CliRunner().invoke(command, [*arguments, "--model", "stranger:Net"], env={"COLUMNS": "200"})
    assert answer.exit_code == 0, answer.output
    assert "stranger:Net" in answer.output
    assert (tmp_path / "ran").exists()


def test_a_model_of_others_that_cannot_do_the_task_is_told_in_one_line(path):
    name = "tests.bench.brightness:Brightness"
    save_weights(path, Brightness(1), SPEC.model_copy(update={"model": name}))
    answer = CliRunner().invoke(main, [str(path), "--device", "cpu", "--model", name], standalone_mode=False)
    assert isinstance(answer.exception, click.ClickException)
    assert f"{name} cannot be graded: ValueError: " in str(answer.exception)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "luser-ws"}, "an unknown model 'luser-ws'; did you mean 'luser-sw'?"),
        ({"model": "os.path:join; rm"}, "an unknown model 'os.path:join; rm'"),
        ({"image_shape": (10**6, 16)}, r"images of \(1000000, 16\) pixels; each side must have 16 to 4096"),
        ({"image_shape": (0, 16)}, "each side must have 16 to 4096"),
        ({"test_images": 10**12}, "1000000000000 test images; write --test-images"),
        ({"test_images": 0}, "0 test images"),
        ({"task": "deblur", "start": "fbp"}, "start 'fbp' does not apply to deblur; known: adjoint"),
        ({"data": "a\x1b[2J"}, r"data of the unprintable name 'a\\x1b\[2J'"),
    ],
)
def test_what_a_file_says_of_itself_is_not_believed(path, model, changes, message):
    save_weights(path, model, SPEC.model_copy(update=changes))
    with pytest.raises(WeightsError, match=message) as raised:
        load_model(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensor: torch.full_like(tensor, torch.nan), "holds values that are no numbers"),
        (lambda tensor: tensor.to(torch.int64), "torch.int64 in place of .* weights"),
        (lambda tensor: tensor.to(torch.complex64), "torch.complex64 in place of .* weights"),
        (lambda tensor: tensor.to(torch.float8_e4m3fn), "holds torch.float8_e4m3fn"),
    ],
)
def test_numbers_of_another_kind_are_refused(path, model, change, message):
    tensors = model.state_dict()
    name = next(iter(tensors))
    save_file(tensors | {name: change(tensors[name])}, path, {"spec": SPEC.model_dump_json()})
    with pytest.raises(WeightsError, match=message):
        load_model(path)


def test_a_pipe_is_no_file_and_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(WeightsError, match="No such file"):
        load_model(tmp_path / "pipe")


def graded(path, *options):
    return CliRunner().invoke(main, [str(path), "--device", "cpu", *options], env={"COLUMNS": "200"})


def test_a_data_sets_own_observations_are_graded(tmp_path, path, write_observations):
    write_observations(tmp_path / "lodopab", number=1, split="test")
    spec, model = load_model(path)
    grades = grade_weights(model, spec, tmp_path / "lodopab", measured=True)
    assert [item.name for item in grades.items] == ["ground_truth_test_000/0"]
    assert grades.example["truth"].shape == (1, 362, 362)
    answer = graded(path, "--data", f"ct={tmp_path / 'lodopab'}", "--measured")
    assert answer.exit_code == 0, answer.output
    assert f"{grades.items[0].psnr_db:.2f}" in answer.output


def test_k_space_is_reconstructed_at_its_own_size_and_graded_within_the_crop(tmp_path, write_volume):
    for name in ("file1.h5", "file2.h5"):
        write_volume(tmp_path / "singlecoil_val" / name, 1, 640, 368)
    model = MODELS["luser-sw"](channels=2, num_stages=1)
    spec = SPEC.model_copy(update={"task": "mri4x"})
    grades = grade_weights(model, spec, tmp_path, measured=True)
    assert [item.name for item in grades.items] == ["file2/0"]
    assert grades.example["start"].shape == grades.example["truth"].shape == (1, 320, 320)


def test_where_nothing_was_measured_one_line_says_so(tmp_path, path, model):
    answer = graded(path, "--measured")
    assert "task ct: there are no measurements to grade on: no --data names them" in answer.output
    save_weights(tmp_path / "photos.safetensors", MODELS["luser-sw"](3), SPEC.model_copy(update={"task": "deblur"}))
    answer = graded(tmp_path / "photos.safetensors", "--measured")
    assert "task deblur: there are no measurements to grade on: no data set of it has measurements" in answer.output
