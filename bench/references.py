"""``python -m bench.references``: methods without training on the held-out images, tuned on the validation images."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import torch
from rich.console import Console
from rich.table import Table

from bench.baselines.methods import REFERENCES, MeasuredSplit, grade, tune
from bench.cli import EXIT_CODES, EXIT_FAILED_CELLS, TASK, common_options, run, scale_option
from bench.cli.sources import check_sources, data_options, data_sources, files_of
from bench.data import Split, source_label
from bench.evaluation.grading import NOISE_SEED
from bench.records import Provenance, Record, ReferenceSpec, ReferenceValues, Setting, Status, TuningPoint, mean_psnr_db
from bench.records.environment import pick_device, provenance
from bench.records.progress import Reporter
from bench.records.runner import Outcome, StudyCell, all_answered, run_cells
from bench.records.store import ResultStore
from bench.tasks import PAPER_TASKS, TASKS
from bench.tasks.scales import SCALES, Scale
from bench.training.validation import NOISE_SEED as VALIDATION_NOISE_SEED

VALIDATION_IMAGES = 10

HELP = f"""Reconstruct held-out images without training: filtered backprojection (CT) and total variation.

Their settings (window and cut-off; weight) are tuned by PSNR over a grid, on ten validation images, the weight to a
quarter power of two. The record keeps every setting tried. Test images and noise are those of bench.accuracy. MRI's
zero-filled image is every network's starting image, so each accuracy record has its scores.

\b
Examples:
  python -m bench.references
  python -m bench.references --task ct --scale small --data LODOPAB

{EXIT_CODES}
"""


@click.command(help=HELP)
@click.option("--task", "tasks", type=TASK, multiple=True, help="Task; repeatable. Default: the paper's.")
@scale_option
@data_options
@common_options
def main(
    tasks: Sequence[str],
    scale: str,
    data: Sequence[str],
    data_root: Path | None,
    results: Path,
    force: bool,
    device: str,
) -> int:
    """Run the reference methods from the command line."""
    chosen, sources = tasks or PAPER_TASKS, data_sources(data, data_root)
    check_sources(chosen, sources, SCALES[scale], ("validation", "test"))
    cells = reference_cells(chosen, SCALES[scale], sources, device=pick_device(device))
    if not cells:
        raise click.ClickException(f"no reference method for {', '.join(chosen)}: the operator is not linear")
    records = run_cells(cells, ResultStore(results), force=force)
    Console(markup=False).print(_table(records))
    return 0 if all_answered(records) else EXIT_FAILED_CELLS


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
                cells.append(_cell(spec, source, where, device))
    return cells


def _cell(spec: ReferenceSpec, source: Path | None, where: Provenance, device: torch.device) -> StudyCell:
    def measure(reporter: Reporter) -> Outcome:
        values = _measure(spec, source, device, reporter)
        _, mean = mean_psnr_db(values.items)
        return Outcome(Status.OK, values, summary=f"{mean:.2f} dB with {_text(values.setting)}")

    return StudyCell(spec, where, measure, f"{spec.test_images} images")


def _measure(spec: ReferenceSpec, source: Path | None, device: torch.device, reporter: Reporter) -> ReferenceValues:
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


def _table(records: Sequence[Record]) -> Table:
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


if __name__ == "__main__":
    run(main)
