"""``python -m bench.memory what-fits``: largest batch and image of every model on a card of given memory."""

import json
from collections.abc import Sequence

import click
from rich.table import Table

from bench.cli import EXIT_CODES, EXIT_FAILED_CELLS, TASK, Bytes, models_option
from bench.cli.tables import print_table
from bench.memory.calibration import rule_set
from bench.memory.options import MemoryQuestion, question_options
from bench.memory.questions import memory_specs
from bench.memory.replay import fits
from bench.memory.search import largest_index
from bench.memory.simulate import find_calibration, simulated_batch, trace_key
from bench.memory.trace import TraceError
from bench.memory.traces import trace_of
from bench.records import GIB, MemorySpec
from bench.runner.pool import in_processes
from bench.runner.progress import Reporter
from models import MODELS, POLICIES

SIDE_STEP = 16
"""Image sides are multiples of this many pixels."""
MOST_PIXELS = 4096

HELP = f"""Print what a graphics card can train: the largest batch per model and policy, and the largest square image at
batch 1. Simulated by the best guess, with the card's memory as the cap; nothing is stored.

\b
Examples:
  python -m bench.memory what-fits --gpu 8GB --task ct
  python -m bench.memory what-fits --gpu 24GB --task mri4x --precision bf16 --expandable-segments

{EXIT_CODES}
"""


@click.command("what-fits", help=HELP)
@click.option("--gpu", "cap_bytes", type=Bytes(), required=True, help="Memory of the card, e.g. 8GB.")
@click.option("--task", "tasks", type=TASK, multiple=True, default=("ct",), show_default=True, help="Task; repeatable.")
@models_option
@question_options
@click.option("--format", "style", type=click.Choice(["table", "json"]), default="table", show_default=True)
def what_fits(
    cap_bytes: int,
    tasks: Sequence[str],
    models: Sequence[str],
    question: MemoryQuestion,
    style: str,
) -> int:
    """Answer from the command line."""
    find_calibration(question.calibration)
    specs = memory_specs(tasks, models or tuple(MODELS), POLICIES, (cap_bytes,), "simulate", question)
    rows = _answers(specs)
    if style == "json":
        click.echo(json.dumps(rows, indent=1))
    else:
        print_table(_table(rows, cap_bytes))
    failed = [row for row in rows if "error" in row]
    for row in failed:
        click.echo("{task} {model} {policy} {precision} failed: {error}".format(**row), err=True)
    return EXIT_FAILED_CELLS if failed else 0


def largest_side(spec: MemorySpec) -> int:
    """Return the side in pixels, a multiple of 16, of the largest square image that trains at batch 1; 0 for none.

    Every candidate side is traced; the search starts at the pixels of the largest batch, so that few are needed.
    """

    def fitting(index: int) -> bool:
        side = SIDE_STEP * (index + 1)
        if side > MOST_PIXELS:
            return False
        square = spec.model_copy(update={"image_shape": (side, side)})
        rules = rule_set(find_calibration(spec.calibration)).expected
        trace = trace_of(trace_key(square))
        return fits(trace, 1, spec.cap_bytes, rules, expandable=spec.expandable_segments)

    return SIDE_STEP * (largest_index(fitting, _guessed_index(spec)) + 1)


def _guessed_index(spec: MemorySpec) -> int:
    """Scale the image whose largest batch is known: memory grows with the pixels of a whole batch."""
    height, width = spec.image_shape
    pixels = max(simulated_batch(spec), 0.5) * height * width
    return max(round(pixels**0.5 / SIDE_STEP) - 1, 0)


def _answers(specs: Sequence[MemorySpec]) -> list[dict[str, object]]:
    with Reporter(len(specs)).live() as reporter:
        found = in_processes(_answer, specs, lambda spec, _: reporter.begin(_label(spec)).finish("simulated"))
    return [found[spec] if spec in found else _answer(spec) for spec in specs]


def _label(spec: MemorySpec) -> str:
    return " ".join((*spec.subject, spec.policy, spec.precision))


def _answer(spec: MemorySpec) -> dict[str, object]:
    row: dict[str, object] = spec.model_dump(mode="json", include={"task", "model", "policy", "precision"})
    row["image"] = "{} x {}".format(*spec.image_shape)
    try:
        return row | {"max_batch": simulated_batch(spec), "largest_side": largest_side(spec)}
    except Exception as error:  # a user's model may raise anything, and takes no other row down
        first, *_ = [*str(error).strip().splitlines(), ""]
        return row | {"error": first if isinstance(error, TraceError) else f"{type(error).__name__}: {first}"}


def _table(rows: Sequence[dict[str, object]], cap_bytes: int) -> Table:
    table = Table(
        title=f"What trains on a card of {cap_bytes / GIB:g} GB",
        caption="simulated; largest square: at batch 1, a multiple of 16 pixels; - does not fit, ? failed, see stderr",
    )
    for name in ("task", "image", "model", "policy", "precision"):
        table.add_column(name)
    for name in ("largest batch", "largest square"):
        table.add_column(name, justify="right")
    for row in rows:
        batch, side = row.get("max_batch", "?"), row.get("largest_side", "?")
        names = (str(row[name]) for name in ("task", "image", "model", "policy", "precision"))
        table.add_row(*names, str(batch or "-"), str(side or "-"))
    return table
