"""``python -m bench.calls``: applications of the operator and its adjoint per step and per reconstruction."""

from collections.abc import Sequence
from pathlib import Path

import click
import torch
from rich.console import Console
from rich.table import Table

from bench.cli import EXIT_CODES, EXIT_FAILED_CELLS, common_options, policy_option, run, selection_options
from bench.cli.source_digest import code_of
from bench.cli.user_model import build_model
from bench.records import CallsSpec, CallsValues, Policy, Provenance, Record, Status
from bench.records.environment import pick_device, provenance
from bench.records.progress import Reporter
from bench.records.recipe import Recipe
from bench.records.runner import Outcome, StudyCell, all_answered, run_cells
from bench.records.store import ResultStore
from bench.tasks import PAPER_TASKS, TASKS
from bench.training.processes import make_fabric
from bench.training.run import TrainingRun
from bench.training.step import compute_gradients
from bench.training.trainer import fit
from models import MODELS
from operators import CallCounter

COUNTED_SHAPE = (24, 24)
TRAINING_STEPS = 6

HELP = f"""Count forward and adjoint operator applications per training step and per reconstruction.

Counts do not depend on the image size, but deep-equilibrium models' counts depend on the weights. Every model is
therefore first trained for a few steps on small generated images. One application to a batch counts once.

\b
Examples:
  python -m bench.calls
  python -m bench.calls --task ct --policy recompute
  python -m bench.calls --task diffraction

{EXIT_CODES}
"""


@click.command(help=HELP)
@selection_options
@policy_option
@common_options
def main(
    tasks: Sequence[str],
    models: Sequence[str],
    policies: Sequence[Policy],
    results: Path,
    force: bool,
    device: str,
) -> int:
    """Run the counts from the command line."""
    cells = call_cells(tasks or PAPER_TASKS, models or tuple(MODELS), policies, device=pick_device(device))
    records = run_cells(cells, ResultStore(results), force=force)
    Console().print(_table(records))
    return 0 if all_answered(records) else EXIT_FAILED_CELLS


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
    return [
        _cell(
            CallsSpec(
                task=task,
                model=model,
                image_shape=COUNTED_SHAPE,
                code=code_of(model),
                policy=policy,
                batch=1,
                training_steps=TRAINING_STEPS,
            ),
            where,
            device,
        )
        for task in tasks
        for model in models
        for policy in policies
    ]


def _cell(spec: CallsSpec, where: Provenance, device: torch.device) -> StudyCell:
    def measure(reporter: Reporter) -> Outcome:
        values = count_calls(spec, device)
        training, reconstruction = (sum(c.values()) for c in (values.training_step, values.reconstruction))
        summary = f"{training:g} per training step, {reconstruction:g} per reconstruction"
        return Outcome(Status.OK, values, summary=summary)

    return StudyCell(spec, where, measure, spec.policy)


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


def _table(records: Sequence[Record]) -> Table:
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


if __name__ == "__main__":
    run(main)
