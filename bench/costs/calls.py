"""Counts applications of the operator and its adjoint per training step and per reconstruction."""

from collections.abc import Sequence
from functools import partial
from itertools import product

import torch
from rich.table import Table

from bench.cli.source_digest import code_of
from bench.cli.user_model import build_model
from bench.records import CallsSpec, CallsValues, Policy, Record, Status
from bench.records.environment import provenance
from bench.records.recipe import Recipe
from bench.runner.cell import Outcome, StudyCell
from bench.runner.progress import CellReporter
from bench.tasks import TASKS
from bench.training.processes import make_fabric
from bench.training.run import TrainingRun
from bench.training.step import compute_gradients
from bench.training.trainer import fit
from operators import CallCounter

COUNTED_SHAPE = (24, 24)
TRAINING_STEPS = 6


def call_cells(
    tasks: Sequence[str], models: Sequence[str], policies: Sequence[Policy], *, device: torch.device
) -> list[StudyCell]:
    """Return one cell per task, model and policy.

    Args:
        tasks: keys of ``TASKS``.
        models: keys of ``MODELS`` or ``package.module:Model``.
        policies: ``paper``, ``recompute``.
        device: where to run.
    """
    where = provenance(device)
    specs = [
        CallsSpec(
            task=task,
            model=model,
            image_shape=COUNTED_SHAPE,
            code=code_of(model),
            policy=policy,
            batch=1,
            training_steps=TRAINING_STEPS,
        )
        for task, model, policy in product(tasks, models, policies)
    ]
    return [StudyCell(spec, where, partial(_measure, spec, device), spec.policy, apart=True) for spec in specs]


def _measure(spec: CallsSpec, device: torch.device, _: CellReporter) -> Outcome:
    values = count_calls(spec, device)
    training, reconstruction = (sum(c.values()) for c in (values.training_step, values.reconstruction))
    return Outcome(Status.OK, values, summary=f"{training:g} per training step, {reconstruction:g} per reconstruction")


def count_calls(spec: CallsSpec, device: torch.device) -> CallsValues:
    """Train for a few steps, then count one training step and one reconstruction of a held-out image.

    Returns:
        Applications keyed ``<forward|adjoint>.<reconstruct|solve|backward>``.
    """
    task = TASKS[spec.task]
    torch.manual_seed(0)
    operator = CallCounter(task.operator_at(spec.image_shape, device))
    model = build_model(spec.model, task.channels, spec.policy).to(device)
    train = task.load_split(None, "train", image_shape=spec.image_shape, count=8, seed=0)
    held_out = task.load_split(None, "test", image_shape=spec.image_shape, count=1, seed=0)
    recipe = Recipe(steps=spec.training_steps, batch=spec.batch, learning_rate=1e-3)
    shape, fabric = spec.image_shape, make_fabric(device)
    fit(TrainingRun(model=model, task=task, images=train, image_shape=shape, recipe=recipe, fabric=fabric))
    truth = held_out[0].image[None].to(device)
    y = task.measure(operator, truth, torch.Generator().manual_seed(0))
    operator.norm()  # known before the count begins
    operator.reset()
    compute_gradients(model, operator, y, truth, "final")
    training = _counts(operator)
    model.eval()
    operator.reset()
    with torch.no_grad():
        model(y, operator)
    return CallsValues(training_step=training, reconstruction=_counts(operator))


def _counts(operator: CallCounter) -> dict[str, float]:
    return {f"{direction}.{phase}": float(n) for (direction, phase), n in sorted(operator.calls.items())}


def calls_table(records: Sequence[Record]) -> Table:
    """Lay out the counts, one row per task, model and policy."""
    table = Table(title="Operator applications, forward + adjoint")
    for name in ("task", "model", "policy", "training step", "thereof backward", "reconstruction"):
        table.add_column(name, justify="left" if name in ("task", "model", "policy") else "right")
    for record in records:
        spec, values = record.spec, record.values
        assert isinstance(spec, CallsSpec)
        cells = ("?", "?", "?")
        if isinstance(values, CallsValues):
            backward = _sum(values.training_step, "backward")
            cells = (_sum(values.training_step), backward, _sum(values.reconstruction))
        table.add_row(spec.task, spec.model, spec.policy, *cells)
    return table


def _sum(counts: dict[str, float], phase: str = "") -> str:
    forward, adjoint = (
        sum(n for key, n in counts.items() if key.startswith(direction) and key.endswith(phase))
        for direction in ("forward", "adjoint")
    )
    return f"{forward:g} + {adjoint:g}"
