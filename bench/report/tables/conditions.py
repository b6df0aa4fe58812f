"""Table 2's notes on data, training and hardware."""

from collections.abc import Sequence
from statistics import mode

from bench.records import AccuracySpec, Start
from bench.records.paper import Paper
from bench.report.drawing.layout import listing, shape_text
from bench.report.selection.accuracy import Study, scores_of
from bench.report.selection.records import AccuracyEntry

STARTS: dict[Start, str] = {"adjoint": "from A\N{MODIFIER LETTER CAPITAL T}y", "fbp": "from FBP"}
"""Starting images in print, where a table needs them."""


def start_text(study: Study, part: Study, task: str) -> str:
    """Name the networks' starting image where it is not the paper's or there are two; else ''.

    Args:
        study: the whole of it.
        part: it, or one of its ``other_starts``.
        task: key of the task.
    """
    several = any(other.start_of(task) for other in study.other_starts.values())
    start = part.start_of(task)
    return STARTS[start] if start and (several or start != "adjoint") else ""


def conditions(study: Study, paper: Paper) -> list[str]:
    """Return one line of conditions per group of tasks that share them."""
    alike: dict[str, list[str]] = {}
    for part in (study, *study.other_starts.values()):
        for task in study.tasks(paper):
            entries = [entry for key, cell in part.cells.items() if key[0] == task for entry in cell]
            if entries:
                start = start_text(study, part, task)
                title = f"{paper.task_title(task)} ({start})" if start else paper.task_title(task)
                alike.setdefault(_condition(entries, paper), []).append(title)
    return [f"{listing(titles)}: {condition}." for condition, titles in alike.items()]


def _condition(entries: Sequence[AccuracyEntry], paper: Paper) -> str:
    specs = [entry.spec for entry in entries]
    seeds = sorted({spec.seed for spec in specs})
    graded = len({(item.group, item.name) for item in scores_of(entries)})
    source = specs[0].data
    return ", ".join(
        (
            "generated images" if source == "generated" else f"images of {source!r}",
            f"{shape_text(specs[0].image_shape)} pixels",
            _training(specs, paper),
            *_minutes(entries),
            f"at most {listing(f'{spec.train_images:,}' for spec in specs)} training images",
            f"{graded:,} test images",
            f"mean over seeds {listing(seeds)}" if len(seeds) > 1 else f"seed {seeds[0]}",
        )
    )


def _training(specs: Sequence[AccuracySpec], paper: Paper) -> str:
    """Describe steps, batch, windows and precision of the training."""
    text = f"{_by_model(specs, paper, 'steps')} steps of batch {listing(spec.recipe.batch for spec in specs)}"
    windows = [shape_text(spec.recipe.view_shape(spec.image_shape)) for spec in specs if spec.recipe.window < 1]
    windows += dict.fromkeys(_windows(spec) for spec in specs if spec.recipe.windows)
    text += f" in windows of {listing(windows)}" if windows else ""
    text += " in bfloat16" if all(spec.precision == "bf16" for spec in specs) else ""
    if any(spec.recipe.pretrain_steps for spec in specs):
        text += f" after {_by_model(specs, paper, 'pretrain_steps')} steps of denoiser pretraining"
    return text


def _minutes(entries: Sequence[AccuracyEntry]) -> list[str]:
    """Return minutes per run, with validation and pretraining, and the device."""
    known = [entry.values for entry in entries if entry.values]
    if not known:
        return []
    minutes = sorted(round((run.train_s + run.pretrain_s + run.validation_s) / 60) for run in known)
    if minutes[-1] < 1:
        return ["under a minute per run"]
    span = dict.fromkeys((f"{minutes[0]}", f"{minutes[-1]}"))
    amx = " with AMX" if all(run.amx for run in known) else ""
    places = listing(f"{entry.provenance.device} ({entry.provenance.threads} threads)" for entry in entries)
    return [f"{' to '.join(span)} minutes per run on {places.replace('(1 threads)', '(1 thread)')}{amx}"]


def _windows(spec: AccuracySpec) -> str:
    """Name the windows of a run, one after the other."""
    starts = [0.0, *(window.until for window in spec.recipe.windows[:-1])]
    return ", then ".join(_window(spec, done) for done in starts)


def _window(spec: AccuracySpec, done: float) -> str:
    shape = shape_text(spec.recipe.view_shape(spec.image_shape, done))
    return f"{shape} (whole images, shrunk)" if spec.recipe.window_at(done).shrunk else shape


def _by_model(specs: Sequence[AccuracySpec], paper: Paper, field: str) -> str:
    """Return a number of the recipe, the usual one first, then the models that differ."""
    counts = {paper.model_title(spec.model): int(getattr(spec.recipe, field)) for spec in specs}
    usual = mode(counts.values())
    others = [f"{title} {count:,}" for title, count in counts.items() if count != usual]
    return f"{usual:,} ({listing(others)})" if others else f"{usual:,}"
