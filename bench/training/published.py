"""Grades published weights, without training."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import torch
from rich.table import Table
from torch import Tensor

from bench.cli import unknown
from bench.cli.parameters import LEAST_SIDE, MOST_IMAGES, MOST_SIDE, short
from bench.cli.user_model import resolve_model, told
from bench.data.base import DataError, source_label
from bench.evaluation.bootstrap import Estimate, estimate
from bench.evaluation.grading import Grades, QualityError, evaluate, evaluate_measured
from bench.evaluation.weights import WeightsError, load_weights
from bench.records import AccuracySpec
from bench.tasks import TASKS
from bench.tasks.scales import SCALES
from bench.training.step import placed
from models import MODELS, ReconstructionModel


def grade_files(
    files: Sequence[Path],
    sources: Mapping[str, Path],
    device: torch.device,
    test_images: int | None = None,
    *,
    measured: bool = False,
    own: Sequence[str] = (),
) -> Table:
    """Grade the weights of several files.

    Args:
        files: written by ``bench.evaluation.weights.save_weights``.
        sources: task -> folder of held-out images; generated images elsewhere.
        device: where to reconstruct.
        test_images: as in ``grade_weights``.
        measured: as in ``grade_weights``.
        own: as in ``load_model``.

    Returns:
        One row per file: means with 95 % intervals.

    Raises:
        click.ClickException: if a file or a folder cannot be used, or an image has no finite quality.
    """
    table = Table(title="Held-out images: mean PSNR in dB and SSIM, 95 % intervals")
    for name in ("task", "model", "loss", "trained on", "graded on", "start", "PSNR", "SSIM"):
        table.add_column(name)
    for path in files:
        try:
            spec, model = load_model(path, own)
            source = sources.get(spec.task)
            grades = _graded(placed(model, device), spec, source, test_images, measured)
        except (WeightsError, DataError) as error:
            raise click.ClickException(str(error)) from error
        except QualityError as error:
            raise click.ClickException(f"{path}: {error}") from error
        scores = [_text(estimate(grades.items, name)) for name in ("start_psnr_db", "psnr_db")]
        ssim = _text(estimate(grades.items, "ssim"), digits=3)
        table.add_row(spec.task, spec.model, spec.loss, spec.data, source_label(source), *scores, ssim)
    return table


def _graded(
    model: ReconstructionModel, spec: AccuracySpec, source: Path | None, test_images: int | None, measured: bool
) -> Grades:
    try:
        return grade_weights(model, spec, source, test_images=test_images, measured=measured)
    except (DataError, QualityError):
        raise
    except Exception as error:  # a user's model may raise anything
        if spec.model in MODELS:
            raise
        raise click.ClickException(f"{spec.model} cannot be graded: {told(error)}") from error


def load_model(path: Path, own: Sequence[str] = ()) -> tuple[AccuracySpec, ReconstructionModel]:
    """Build the model that a file holds the weights of.

    Args:
        path: written by ``bench.evaluation.weights.save_weights``.
        own: models beside ``MODELS`` that it may be of, ``package.module:Model``. Whoever made the file wrote the name
            that is in it, which therefore imports nothing by itself.

    Returns:
        What it was trained for, and the model in evaluation mode, on the CPU.

    Raises:
        WeightsError: if the file is broken, names an unknown task or a model that is not among those, asks for what no
            task is graded on, or does not fit the model it names.
        click.ClickException: if it is of a user's own model that cannot be imported.
    """
    spec, tensors = load_weights(path)
    if spec.task not in TASKS:
        raise WeightsError(f"{path}: weights for an {unknown('task', spec.task, TASKS)}")
    if spec.model not in MODELS and spec.model not in own:
        raise WeightsError(f"{path}: weights of {_stranger(spec.model)}")
    if wrong := _out_of_bounds(spec):
        raise WeightsError(f"{path}: not weights that can be graded: {wrong}")
    model = _built(spec)
    expected = {name: _form(tensor) for name, tensor in model.state_dict().items()}
    found = {name: _form(tensor) for name, tensor in tensors.items()}
    differing = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if differing:
        name = differing[0]
        first = f"{short(name)} is {found.get(name, 'absent')} in place of {expected.get(name, 'none')}"
        raise WeightsError(
            f"{path}: not weights of {spec.model} for {spec.task}: {len(differing)} tensors differ, {first}"
        )
    model.load_state_dict(tensors)
    model.start = spec.start
    return spec, model.eval()


def _built(spec: AccuracySpec) -> ReconstructionModel:
    make, channels = resolve_model(spec.model), TASKS[spec.task].channels
    try:
        return make(channels=channels)
    except Exception as error:  # a user's model may raise anything
        if spec.model in MODELS:
            raise
        message = f"called with channels={channels}, {spec.model!r} raises {told(error)}"
        raise click.ClickException(message) from error


def _stranger(name: str) -> str:
    """Say in one line what to do about a model that is not in ``MODELS``."""
    if name.count(":") != 1 or not name.replace(":", ".").replace(".", "_").isidentifier():
        return f"an {unknown('model', name, MODELS)}"
    return f"the model {short(name)}, whose code runs only if you trust it and add --model {name}"


def _out_of_bounds(spec: AccuracySpec) -> str:
    """Say what of a file's own words nobody grades; empty if nothing is wrong. Whoever made the file wrote them."""
    if not all(LEAST_SIDE <= side <= MOST_SIDE for side in spec.image_shape):
        return f"images of {spec.image_shape} pixels; each side must have {LEAST_SIDE} to {MOST_SIDE}"
    if not 1 <= spec.test_images <= MOST_IMAGES:
        return f"{spec.test_images} test images; write --test-images"
    if spec.start not in TASKS[spec.task].starts:
        return f"start {spec.start!r} does not apply to {spec.task}; known: {', '.join(TASKS[spec.task].starts)}"
    return "" if spec.data.isprintable() else f"data of the unprintable name {short(spec.data)}"


def _form(tensor: Tensor) -> str:
    """Return a tensor's shape and kind of number: weights may be stored in half precision, counts not as weights."""
    return f"{tuple(tensor.shape)} {'weights' if tensor.is_floating_point() else tensor.dtype}"


@torch.no_grad()
def grade_weights(
    model: ReconstructionModel,
    spec: AccuracySpec,
    source: Path | None,
    *,
    test_images: int | None = None,
    example: str | None = None,
    measured: bool = False,
) -> Grades:
    """Grade a trained model as ``bench.accuracy`` grades it after training.

    Args:
        model: on the device where it is to run.
        spec: what it was trained for; gives task, image size and number of test images.
        source: folder of the held-out images; None for generated ones.
        test_images: how many; None for as many as ``spec`` says.
        example: as in ``bench.evaluation.grading.evaluate``; not with ``measured``.
        measured: whether to reconstruct from the data set's own measurements, at its own image size.

    Raises:
        DataError: if the folder cannot be used.
        QualityError: if an image has no finite quality.
        ValueError: if no image's name fits ``example``.
    """
    task, device = TASKS[spec.task], next(model.parameters()).device
    count = test_images or spec.test_images
    if measured:
        if task.measured is None or source is None:
            why = "no data set of it has measurements" if task.measured is None else "no --data names them"
            raise DataError(f"task {spec.task}: there are no measurements to grade on: {why}")
        return evaluate_measured(model, task, task.measured.load_split(source, "test", count=count, seed=0))
    native = spec.scale in SCALES and SCALES[spec.scale].native
    images = task.load_split(source, "test", image_shape=spec.image_shape, count=count, seed=0, native=native)
    return evaluate(model, task.operator_at(spec.image_shape, device), task, images, example)


def _text(value: Estimate | None, digits: int = 2) -> str:
    assert value is not None, "a split has at least one image"
    if value.low is None or value.high is None:
        return f"{value.mean:.{digits}f}"
    return f"{value.mean:.{digits}f} ({value.low:.{digits}f} to {value.high:.{digits}f})"
