"""Accuracy cells: train one model on one task, reconstruct held-out images, grade them."""

from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path

from bench.cli.source_digest import code_of
from bench.cli.sources import files_of
from bench.cli.user_model import resolve_model
from bench.data import Split, source_label
from bench.evaluation.grading import NotFiniteError, QualityError, evaluate
from bench.evaluation.weights import save_weights
from bench.records import AccuracySpec, AccuracyValues, Loss, Policy, Provenance, Record, Spec, Status, mean_psnr_db
from bench.records.environment import bf16_on_amx, number_flags, provenance
from bench.records.progress import Reporter
from bench.records.runner import Outcome, StudyCell
from bench.records.store import ResultStore
from bench.tasks import TASKS
from bench.training.sweep import TrainingSetup, denoiser_checkpoint, round_weights, train_model
from models import ReconstructionModel

LOSSES: tuple[Loss, ...] = ("final", "aux")


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
    where = provenance(training.fabric.device)
    cells = []
    for seed, task, model, loss, policy in product(seeds, tasks, models, losses, policies):
        if loss == "final" or getattr(resolve_model(model), "supports_auxiliary_loss", True):
            cells.append(_cell(_spec(training, task, model, loss, policy, seed), training, where))
    return cells


def discard_checkpoints(cells: Iterable[StudyCell], training: TrainingSetup) -> None:
    """Delete the checkpoints of cells that are finished."""
    store = training.store
    for cell in cells if training.fabric.is_global_zero else ():
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
        processes=training.fabric.world_size,
        files=files_of(task, source, used),
    )


def _cell(spec: AccuracySpec, training: TrainingSetup, where: Provenance) -> StudyCell:
    def measure(reporter: Reporter) -> Outcome:
        model, denoiser, log = train_model(spec, training, checkpoint_of(spec, where, training.store), reporter)
        if not training.fabric.is_global_zero:
            return Outcome(Status.OK, None)
        task, shape = TASKS[spec.task], spec.image_shape
        rounded = training.keep_weights and round_weights(spec, training, model)
        test = training.load_split(spec, "test", shape, spec.test_images)
        operator = task.operator_at(shape, training.fabric.device)
        try:
            grades = evaluate(model, operator, task, test, training.examples.get(spec.task))
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
        if log.diverged:
            return Outcome(Status.DIVERGED, values, log.ending)
        return Outcome(Status.OK, values, summary=_gain(values))

    def lacks(stored: Record) -> str:
        kept = stored.values.weights if isinstance(stored.values, AccuracyValues) else None
        if not training.keep_weights or (kept is not None and (training.store.root / kept).is_file()):
            return ""
        return "but without weights: --force trains it again and keeps them"

    return StudyCell(spec, where, measure, f"{spec.loss} loss, seed {spec.seed}", lacks)


def _store_weights(
    spec: AccuracySpec, training: TrainingSetup, where: Provenance, model: ReconstructionModel, *, half: bool
) -> str | None:
    if not training.keep_weights:
        return None
    relative = Path("weights") / training.store.path_of(spec, where).with_suffix(".safetensors").name
    save_weights(training.store.root / relative, model, spec, half=half)
    return relative.as_posix()


def _gain(values: AccuracyValues) -> str:
    start, end = mean_psnr_db(values.items)
    return f"{end:.2f} dB from {start:.2f} dB"
