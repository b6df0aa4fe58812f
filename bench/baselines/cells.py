"""Cells of methods without training: tuned on the validation images, graded on the held-out ones."""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from rich.table import Table

from bench.baselines.methods import REFERENCES, MeasuredSplit, grade, tune
from bench.cli.sources import files_of
from bench.data.base import Split, source_label
from bench.evaluation.grading import NOISE_SEED
from bench.records import Record, ReferenceSpec, ReferenceValues, Setting, Status, TuningPoint, mean_psnr_db
from bench.records.environment import provenance
from bench.runner.cell import Outcome, StudyCell
from bench.runner.progress import CellReporter
from bench.tasks import TASKS
from bench.tasks.scales import Scale
from bench.training.validation import NOISE_SEED as VALIDATION_NOISE_SEED

VALIDATION_IMAGES = 10


def reference_cells(
    tasks: Sequence[str], scale: Scale, sources: Mapping[str, Path], *, device: torch.device
) -> list[StudyCell]:
    """Return one cell per task and reference method that applies to its operator.

    Args:
        tasks: keys of ``TASKS``.
        scale: image size and number of test images.
        sources: task -> folder of real images; generated images elsewhere.
        device: where to run.
    """
    where = provenance(device)
    used: dict[Split, int] = {"validation": VALIDATION_IMAGES, "test": scale.test_images}
    cells = []
    for task in tasks:
        source = sources.get(task)
        shape = scale.image_shape(task, source)
        operator = TASKS[task].operator_at(shape, device)
        for name, method in REFERENCES.items():
            if method.applies(operator):
                spec = ReferenceSpec(
                    task=task,
                    method=name,
                    image_shape=shape,
                    data=source_label(source),
                    native=scale.native,
                    validation_images=VALIDATION_IMAGES,
                    test_images=scale.test_images,
                    files=files_of(task, source, used),
                )
                measure = partial(_answer, spec, source, device)
                cells.append(StudyCell(spec, where, measure, f"{spec.test_images} images", apart=True))
    return cells


def _answer(spec: ReferenceSpec, source: Path | None, device: torch.device, reporter: CellReporter) -> Outcome:
    values = _measure(spec, source, device, reporter)
    _, mean = mean_psnr_db(values.items)
    return Outcome(Status.OK, values, summary=f"{mean:.2f} dB with {_text(values.setting)}")


def _measure(spec: ReferenceSpec, source: Path | None, device: torch.device, reporter: CellReporter) -> ReferenceValues:
    task, method = TASKS[spec.task], REFERENCES[spec.method]
    operator = task.operator_at(spec.image_shape, device)

    def split(name: Split, count: int, seed: int) -> MeasuredSplit:
        images = task.load_split(source, name, image_shape=spec.image_shape, count=count, seed=0, native=spec.native)
        return MeasuredSplit.of(task, operator, images, seed, device)

    def report(point: TuningPoint) -> None:
        reporter.detail(f"tuning, {_text(point.setting)}: {point.psnr_db:.2f} dB")

    started = time.monotonic()
    validation = split("validation", spec.validation_images, VALIDATION_NOISE_SEED)
    setting, tuning = tune(method, task, operator, validation, report)
    tuned = time.monotonic()
    test = split("test", spec.test_images, NOISE_SEED)
    items = grade(method, setting, task, operator, test)
    reconstruct_s = (time.monotonic() - tuned) / len(items)
    return ReferenceValues(
        items=items, setting=setting, tuning=tuning, tuning_s=tuned - started, reconstruct_s=reconstruct_s
    )


def _text(setting: Setting) -> str:
    return ", ".join(f"{name} {value:.3g}" if isinstance(value, float) else value for name, value in setting.items())


def references_table(records: Sequence[Record]) -> Table:
    """Lay out the mean qualities, one row per task and method."""
    table = Table(title="Held-out images without training, mean PSNR in dB")
    for name in ("task", "method", "data", "start", "reconstruction", "setting", "status"):
        table.add_column(name, justify="right" if name in ("start", "reconstruction") else "left")
    for record in records:
        spec, values = record.spec, record.values
        assert isinstance(spec, ReferenceSpec)
        cells = ("?", "?", "?")
        if isinstance(values, ReferenceValues):
            start, end = mean_psnr_db(values.items)
            cells = (f"{start:.2f}", f"{end:.2f}", _text(values.setting))
        table.add_row(spec.task, spec.method, spec.data, *cells, record.status.value)
    return table
