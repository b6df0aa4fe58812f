"""``python -m bench.accuracy``: train, reconstruct held-out images, store what they score (Table 2, Figure 2)."""

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import click
from rich.console import Console
from rich.table import Table

from bench.cli import (
    EXIT_CODES,
    EXIT_FAILED_CELLS,
    Name,
    common_options,
    data_option,
    policy_option,
    run,
    scale_option,
    selection_options,
)
from bench.environment import pick_device
from bench.experiment import Stabilisers, accuracy_cells, mean_psnr_db
from bench.record import AccuracySpec, Loss, Measurement, Policy
from bench.runner import all_answered, run_cells
from bench.scales import SCALES
from bench.sources import check_sources, data_sources
from bench.store import ResultStore
from bench.tasks import PAPER_TASKS
from bench.values import AccuracyValues
from models import MODELS

LOSSES: tuple[Loss, ...] = get_args(Loss)

HELP = f"""Train models and grade them on held-out images by PSNR and SSIM.

The networks are always the paper's; the scale decides image size and training length. Without --data the images
are generated, so nothing has to be downloaded. The task diffraction is none of the paper's: it is measured where
--task names it.

\b
Examples:
  python -m bench.accuracy --all
  python -m bench.accuracy --task deblur --model luser-dw --loss final
  python -m bench.accuracy --task ct --scale small --data LODOPAB
  python -m bench.accuracy --model deq4ip --pretrain-steps 200 --jacobian-weight 2.5
  python -m bench.accuracy --all --data deblur=PHOTOS --data ct=LODOPAB --data mri4x=FASTMRI --data mri8x=FASTMRI

{EXIT_CODES}
"""


@click.command(help=HELP)
@click.option("--all", "everything", is_flag=True, help="The paper's tasks, all models and losses: Table 2.")
@selection_options
@click.option(
    "--loss",
    "losses",
    type=Name("loss", lambda: LOSSES),
    multiple=True,
    help="final: error of the last image; aux: of every stage's; repeatable. Default: both.",
)
@policy_option
@scale_option
@data_option
@click.option(
    "--jacobian-weight",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="Penalty on the maps' Jacobian, for models with fixed points (2.5 in MDEQ's recipe).",
)
@click.option(
    "--pretrain-steps",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Steps of training as a denoiser before, for models whose network can be one (deq4ip).",
)
@click.option("--seed", default=0, show_default=True, help="Of initial weights, image order and noise.")
@common_options
def main(
    everything: bool,
    tasks: Sequence[str],
    models: Sequence[str],
    losses: Sequence[Loss],
    policies: Sequence[Policy],
    scale: str,
    data: Sequence[str],
    jacobian_weight: float,
    pretrain_steps: int,
    seed: int,
    results: Path,
    force: bool,
    device: str,
) -> int:
    """Run the training cells from the command line."""
    if not (everything or tasks or models or losses):
        raise click.ClickException("say what to train: --all, or --task, --model or --loss")
    store, sources = ResultStore(results), data_sources(data)
    check_sources(tasks or PAPER_TASKS, sources, SCALES[scale])
    stabilisers = Stabilisers(jacobian_weight, pretrain_steps)
    _check(stabilisers, models or tuple(MODELS))
    cells = accuracy_cells(
        tasks or PAPER_TASKS,
        models or tuple(MODELS),
        losses or LOSSES,
        SCALES[scale],
        sources,
        store,
        device=pick_device(device),
        seed=seed,
        policies=policies,
        stabilisers=stabilisers,
    )
    if not cells:
        raise click.ClickException("nothing to train: deq4ip has one stage, so --loss aux does not apply to it")
    records = run_cells(cells, store, force=force)
    Console().print(_table(records))
    return 0 if all_answered(records) else EXIT_FAILED_CELLS


def _check(stabilisers: Stabilisers, models: Sequence[str]) -> None:
    """Refuse an option that no chosen model knows, rather than ignore it."""
    known = [stabilisers.of(model) for model in models]
    if stabilisers.jacobian_weight and not any(one.jacobian_weight for one in known):
        raise click.ClickException(f"--jacobian-weight: no fixed point in {', '.join(models)}")
    if stabilisers.pretrain_steps and not any(one.pretrain_steps for one in known):
        raise click.ClickException(f"--pretrain-steps: no denoiser in {', '.join(models)}; deq4ip has one")


def _table(records: Sequence[Measurement]) -> Table:
    table = Table(title="Held-out images, mean PSNR in dB")
    for name in ("task", "model", "loss", "data", "start", "reconstruction", "status"):
        table.add_column(name, justify="right" if name in ("start", "reconstruction") else "left")
    for record in records:
        spec, values = record.spec, record.values
        assert isinstance(spec, AccuracySpec)
        scores = ("?", "?")
        if isinstance(values, AccuracyValues):
            start, end = mean_psnr_db(values)
            scores = (f"{start:.2f}", f"{end:.2f}")
        table.add_row(spec.task, spec.model, spec.loss, spec.data, *scores, record.status.value)
    return table


if __name__ == "__main__":
    run(main)
