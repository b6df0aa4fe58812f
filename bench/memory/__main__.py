"""``python -m bench.memory``: Table 3's question for every model, task and cap, and further sub-commands."""

import json
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
from click.core import ParameterSource

from bench.cli import EXIT_CODES, Bytes, Study, policy_option, run, selection_options, study_options
from bench.cli.lazy import Lazy, LazyGroup
from bench.memory.options import MemoryQuestion, question_options

if TYPE_CHECKING:
    import torch

    from bench.records import Policy
    from bench.runner.cell import StudyCell

HELP = f"""Find the largest batch (1, or even) whose full training step fits under a memory cap.

The step is forward, loss, backward and Adam, at the paper's image sizes unless --image-size is given. On a CUDA device
every answer is proved: batch b trains under the cap, the next even batch runs out of memory. Without CUDA the step is
simulated: every storage of a traced step is replayed through the caching allocator's rules, with a best guess and two
bounds for memory that a trace does not show. GB means GiB, as on graphics cards. Without --task: deblur, ct and mri4x,
the blocks of Table 3.

\b
Examples:
  python -m bench.memory --cap 10GB
  python -m bench.memory --cap 8GB --cap 24GB --task ct --model luser-dw --policy recompute --precision bf16
  python -m bench.memory --cap 24GB --task ct --model luser-sw --explain explained
  python -m bench.memory what-fits --gpu 8GB --task ct
  python -m bench.memory --cap 24GB --format json
  python -m bench.memory --step my_package.my_module:make_step --cap 24GB --any-batch

{EXIT_CODES}
"""


COMMANDS = {
    "calibrate": Lazy("bench.memory.calibrate:calibrate", "Measure this GPU's memory use beside tensors."),
    "check": Lazy("bench.memory.proof.check:check", "Compare with the bytes of a real training step on the CPU."),
    "prove": Lazy("bench.memory.proof.prove:prove", "Compare with published histories and peaks of real GPUs."),
    "record": Lazy("bench.memory.snapshot:record", "Record a history of the allocator of a GPU."),
    "validate": Lazy("bench.memory.validate:validate", "Compare simulated with proved cells."),
    "what-fits": Lazy("bench.memory.what_fits:what_fits", "Print what a graphics card can train."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS, invoke_without_command=True, help=HELP)
@click.option(
    "--cap",
    "caps",
    type=Bytes(),
    multiple=True,
    help="Memory cap, e.g. 10GB; repeatable. Default: 8GB, 10GB and 24GB.",
)
@click.option(
    "--step",
    metavar="MODULE:FUNCTION",
    help="Measure any step: FUNCTION(batch) builds model, optimiser and data, and returns a function for one step.",
)
@click.option("--any-batch", is_flag=True, help="With --step: also try odd batches.")
@selection_options
@policy_option
@question_options
@click.option(
    "--backend",
    type=click.Choice(["auto", "simulate", "cuda"]),
    default="auto",
    show_default=True,
    help="auto proves on CUDA if available, else simulates.",
)
@click.option(
    "--wait",
    "wait_s",
    type=click.IntRange(0, 366 * 24 * 3600),
    default=0,
    show_default=True,
    help="Seconds to wait for a GPU that another process uses, before giving up. Commands whose caps fit on one card "
    "side by side share it.",
)
@click.option(
    "--explain",
    "explained",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for one figure per cell: simulated memory over one step, by use.",
)
@click.option(
    "--format",
    "style",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="What to print on stdout.",
)
@study_options
@click.pass_context
def main(
    context: click.Context,
    caps: Sequence[int],
    step: str | None,
    any_batch: bool,
    tasks: Sequence[str],
    models: Sequence[str],
    policies: "Sequence[Policy]",
    question: MemoryQuestion,
    backend: Literal["auto", "simulate", "cuda"],
    wait_s: int,
    explained: Path | None,
    style: str,
    study: Study,
) -> int | None:
    """Run the search from the command line, unless a sub-command is named."""
    if context.invoked_subcommand is not None:
        return None
    _check_step(context, step, any_batch)
    from bench.memory.cells import TABLE3_CAPS_BYTES, forget, memory_table, row
    from bench.memory.nvml import shared_gpu
    from bench.memory.step_cells import step_row, step_table

    place, caps = _place(backend, study), caps or TABLE3_CAPS_BYTES
    cells = _cells(step, tasks, models, policies, caps, place, question, any_batch=any_batch)
    if study.force and study.part is None:  # a job's traces may be another job's
        forget(cells)
    with nullcontext() if place is None else shared_gpu(place, max(caps), wait_s):
        records = study.records(cells)
    if style == "json":
        click.echo(json.dumps([(row if step is None else step_row)(record) for record in records], indent=1))
    elif not study.dry_run:
        study.show((memory_table if step is None else step_table)(records))
    if explained is not None:
        from bench.memory.explain import explain_records

        explain_records(records, explained)
    return study.code(records)


def _cells(
    step: str | None,
    tasks: Sequence[str],
    models: Sequence[str],
    policies: "Sequence[Policy]",
    caps: Sequence[int],
    place: "torch.device | None",
    question: MemoryQuestion,
    *,
    any_batch: bool,
) -> "list[StudyCell]":
    """Return the cells of the models, or of a user's own step."""
    from bench.memory.cells import TABLE3_TASKS, memory_cells
    from bench.memory.step_cells import step_cells
    from models import MODELS

    if step is not None:
        return step_cells(step, caps, place, question, any_batch=any_batch)
    return memory_cells(tasks or TABLE3_TASKS, models or tuple(MODELS), policies, caps, place, question)


def _check_step(context: click.Context, step: str | None, any_batch: bool) -> None:
    """Refuse options that contradict --step, or that need it."""
    if step is None:
        if any_batch:
            raise click.ClickException("--any-batch needs --step: the tables use even batches")
        return
    theirs = ("tasks", "models", "policies", "image_shape", "channels_last")
    given = [name for name in theirs if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if given:
        flags = {option.name: option.opts[-1] for option in context.command.params}
        raise click.ClickException(f"--step excludes {', '.join(flags[n] for n in given)}")


def _place(backend: str, study: Study) -> "torch.device | None":
    """The CUDA device to prove on, None to simulate."""
    import torch

    chosen = study.place  # tells a wrong name, even where nothing runs on it
    if backend == "simulate" or study.cluster is not None:
        return None
    if backend == "cuda" and not torch.cuda.is_available():
        raise click.ClickException("--backend cuda needs a CUDA device; --backend simulate works without one")
    if backend == "cuda" and chosen.type != "cuda":
        raise click.ClickException(f"--backend cuda needs a CUDA device, and {study.device} is none")
    return chosen if chosen.type == "cuda" else None


if __name__ == "__main__":
    run(main)
