"""Accuracy cells: train one model on one task, reconstruct held-out images, grade them."""

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import product
from pathlib import Path

from rich.table import Table

from bench.cli.source_digest import code_of
from bench.cli.sources import files_of
from bench.cli.user_model import resolve_model
from bench.data.base import Split, source_label
from bench.evaluation.grading import Grades, NotFiniteError, QualityError, evaluate
from bench.evaluation.weights import save_weights
from bench.records import AccuracySpec, AccuracyValues, Loss, Policy, Provenance, Record, Spec, Status, mean_psnr_db
from bench.records.environment import bf16_on_amx, keep_freed_memory, number_flags, provenance
from bench.records.store import ResultStore
from bench.runner.cell import Outcome, StudyCell
from bench.runner.progress import CellReporter
from bench.runner.team import leads, world_size
from bench.tasks import TASKS
from bench.training.log import TrainingLog
from bench.training.sweep import TrainingSetup, denoiser_checkpoint, round_weights, train_model
from models import ReconstructionModel

LOSSES: tuple[Loss, ...] = ("final", "aux")
NONCONVERGED_RESIDUAL = 0.1
"""Mean relative residual of a stage's fixed points above which a reconstruction is no fixed point."""


def accuracy_cells(
    training: TrainingSetup,
    tasks: Sequence[str],
    models: Sequence[str],
    losses: Sequence[Loss] = LOSSES,
    policies: Sequence[Policy] = ("paper",),
    seeds: Sequence[int] = (0,),
) -> list[StudyCell]:
    """Return one cell per seed, task, model, loss and policy; a model without stages has no auxiliary loss.

    Args:
        training: what all of them share.
        tasks: keys of ``TASKS``.
        models: keys of ``MODELS`` or ``package.module:Model``.
        losses: ``final``, ``aux``.
        policies: ``paper``, ``recompute``.
        seeds: of initial weights, image order, views and noise.
    """
    where = provenance(training.device)
    cells = []
    for seed, task, model, loss, policy in product(seeds, tasks, models, losses, policies):
        if loss == "final" or getattr(resolve_model(model), "supports_auxiliary_loss", True):
            cells.append(_cell(_spec(training, task, model, loss, policy, seed), training, where))
    return cells


def discard_checkpoints(cells: Iterable[StudyCell], store: ResultStore) -> None:
    """Delete the checkpoints of cells that are finished."""
    for cell in cells if leads() else ():
        if store.finished(cell.spec, cell.provenance) is not None:
            checkpoint = checkpoint_of(cell.spec, cell.provenance, store)
            checkpoint.unlink(missing_ok=True)
            denoiser_checkpoint(checkpoint).unlink(missing_ok=True)


def checkpoint_of(spec: Spec, where: Provenance, store: ResultStore) -> Path:
    """Return the file that an interrupted training resumes from."""
    return store.root / "checkpoints" / store.path_of(spec, where).with_suffix(".safetensors").name


def _spec(training: TrainingSetup, task: str, model: str, loss: Loss, policy: Policy, seed: int) -> AccuracySpec:
    scale, source, recipe = training.scale, training.sources.get(task), training.recipe(task, model)
    validated = recipe.validation_images if recipe.validations else 0
    used: dict[Split, int] = {"train": scale.train_images, "validation": validated, "test": scale.test_images}
    return AccuracySpec(
        task=task,
        model=model,
        code=code_of(model),
        image_shape=scale.image_shape(task, source),
        loss=loss,
        scale=scale.name,
        data=source_label(source),
        policy=policy,
        precision=training.precision,
        start=training.start if training.start in TASKS[task].starts else "adjoint",
        recipe=recipe,
        train_images=scale.train_images,
        test_images=scale.test_images,
        seed=seed,
        processes=world_size(),
        files=files_of(task, source, used),
    )


def _cell(spec: AccuracySpec, training: TrainingSetup, where: Provenance) -> StudyCell:
    return StudyCell(
        spec,
        where,
        partial(_measure, spec, training, where),
        f"{spec.loss} loss, seed {spec.seed}",
        partial(_lacks, training),
        apart=True,
    )


def _lacks(training: TrainingSetup, stored: Record) -> str:
    kept = stored.values.weights if isinstance(stored.values, AccuracyValues) else None
    if not training.keep_weights or (kept is not None and (training.store.root / kept).is_file()):
        return ""
    return "but without weights: --force trains it again and keeps them"


def _measure(spec: AccuracySpec, training: TrainingSetup, where: Provenance, reporter: CellReporter) -> Outcome:
    keep_freed_memory()
    model, denoiser, log = train_model(spec, training, checkpoint_of(spec, where, training.store), reporter)
    if not training.fabric.is_global_zero:
        return Outcome(Status.OK, None)
    rounded = training.keep_weights and round_weights(spec, training, model)
    reporter.detail("grading")
    try:
        grades = _grade(spec, training, model)
    except QualityError as error:
        status = Status.DIVERGED if isinstance(error, NotFiniteError) else Status.FAILED
        return Outcome(status, None, str(error))
    values = AccuracyValues(
        items=grades.items,
        loss_trace=tuple(log.losses),
        skipped_steps=log.skipped,
        solver_steps=grades.solver_steps,
        warm_solver_steps=grades.warm_solver_steps,
        residuals=grades.residuals,
        solver_trace=tuple(log.solver_trace),
        validation_trace=tuple(log.validation_trace),
        chosen_step=log.chosen_step,
        train_s=log.train_s,
        pretrain_s=denoiser.train_s,
        validation_s=log.validation_s,
        data_s=log.data_s,
        step_s=log.median_step_s,
        amx=bf16_on_amx(training.fabric.device) if spec.precision == "bf16" else None,
        flags=number_flags(),
        weights=_store_weights(spec, training, where, model, half=rounded),
        example=training.store.add_example(spec, where, **grades.example),
    )
    return _outcome(values, log)


def _grade(spec: AccuracySpec, training: TrainingSetup, model: ReconstructionModel) -> Grades:
    task = TASKS[spec.task]
    test = training.load_split(spec, "test", spec.image_shape, spec.test_images)
    operator = task.operator_at(spec.image_shape, training.fabric.device)
    return evaluate(model, operator, task, test, training.examples.get(spec.task))


def _outcome(values: AccuracyValues, log: TrainingLog) -> Outcome:
    if log.diverged:
        return Outcome(Status.DIVERGED, values, log.ending)
    start, end = mean_psnr_db(values.items)
    summary = f"{end:.2f} dB from {start:.2f} dB"
    if max(values.residuals, default=0.0) > NONCONVERGED_RESIDUAL:
        message = f"fixed points of the held-out images are missed: mean relative residual {max(values.residuals):.2g}"
        return Outcome(Status.NONCONVERGED, values, message, f"{summary}, {message}")
    return Outcome(Status.OK, values, summary=summary)


def _store_weights(
    spec: AccuracySpec, training: TrainingSetup, where: Provenance, model: ReconstructionModel, *, half: bool
) -> str | None:
    if not training.keep_weights:
        return None
    relative = Path("weights") / training.store.path_of(spec, where).with_suffix(".safetensors").name
    save_weights(training.store.root / relative, model, spec, half=half)
    return relative.as_posix()


def accuracy_table(records: Sequence[Record]) -> Table:
    """Lay out the mean qualities, one row per cell."""
    table = Table(title="Held-out images, mean PSNR in dB")
    for name in ("task", "model", "loss", "data", "start", "reconstruction", "status"):
        table.add_column(name, justify="right" if name in ("start", "reconstruction") else "left")
    for record in records:
        spec, values = record.spec, record.values
        assert isinstance(spec, AccuracySpec)
        scores = ("?", "?")
        if isinstance(values, AccuracyValues):
            start, end = mean_psnr_db(values.items)
            scores = (f"{start:.2f}", f"{end:.2f}")
        table.add_row(spec.task, spec.model, spec.loss, spec.data, *scores, record.status.value)
    return table
