"""Accuracy records grouped into studies: one scale, real or generated data, one setting per task."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from bench.evaluation.bootstrap import Estimate, StartMetric, estimate, mean
from bench.records import AccuracySpec, ImageScore, Start
from bench.records.paper import Metric, Paper
from bench.report.selection.records import AccuracyEntry, ReferenceEntry, dominant, grouped, newest

SCALES = ("quick", "small", "full", "paper")
"""From the least to the most demanding; a scale of the user's own ranks below all."""

METHODS = {"fbp": "FBP", "tv": "TV"}
"""Methods without training, by their names in tables."""

LARGEST_RESIDUAL = 1e-2
"""Relative residual of a fixed point that counts as reached in a graded image."""

CellKey = tuple[str, str, str]
"""Task, model and loss."""


@dataclass(frozen=True)
class Group:
    """The key of a table: one scale, and either real or generated images."""

    scale: str
    real: bool

    @property
    def name(self) -> str:
        """The group as a file name's ending."""
        safe = "".join(char if char.isalnum() else "-" for char in self.scale)
        return f"{safe}-{'real' if self.real else 'generated'}"

    @property
    def title(self) -> str:
        """The group in print."""
        return f"{self.scale} scale, {'real' if self.real else 'generated'} images"

    @property
    def rank(self) -> tuple[int, bool, str]:
        """Sorts the headline group last: first by scale, then real images above generated ones."""
        return SCALES.index(self.scale) if self.scale in SCALES else -1, self.real, self.scale


@dataclass(frozen=True)
class Study:
    """The accuracy of every (task, model, loss) of one group; entries of one cell differ in the seed."""

    group: Group
    cells: dict[CellKey, tuple[AccuracyEntry, ...]]
    left_out: int
    """Entries of the group that another setting of their task outvoted."""
    references: dict[tuple[str, str], ReferenceEntry] = field(default_factory=dict)
    """(task, method without training) -> its entry on the task's images."""
    twins: dict[CellKey, tuple[AccuracyEntry, ...]] = field(default_factory=dict)
    """Entries of the same question as the cell's, except for the precision of the training."""
    other_starts: dict[Start, "Study"] = field(default_factory=dict)
    """The cells whose networks start from another image than most of their task's."""

    def tasks(self, paper: Paper) -> list[str]:
        """Return the paper's tasks, then the user's own."""
        return paper.in_order({task.key for task in paper.tasks} | {task for task, _, _ in self.cells})

    def columns(self, paper: Paper) -> list[tuple[str, str]]:
        """Return the paper's (model, loss) columns, then those that only we have, grouped by model."""
        known = list(paper.accuracy_columns)
        extra = {(model, loss) for _, model, loss in self.cells} - set(known)
        models = [model.key for model in paper.models]
        order = {model: place for place, model in enumerate(models)}
        return sorted([*known, *extra], key=lambda pair: (order.get(pair[0], len(order)), pair[0], pair[1] != "final"))

    def estimate(self, key: CellKey, metric: Metric | StartMetric) -> Estimate | None:
        """Return the mean of a metric over a cell's images and seeds; None where the cell has no values."""
        return estimate(scores_of(self.cells.get(key, ())), metric)

    def spread(self, key: CellKey, metric: Metric) -> float | None:
        """Return half the range of a cell's per-seed means; None where fewer than two seeds have values."""
        means = [mean(scores_of([entry]), metric) for entry in self.cells.get(key, ())]
        known = [value for value in means if value is not None]
        return (max(known) - min(known)) / 2 if len(known) > 1 else None

    def is_astray(self, key: CellKey) -> bool:
        """Whether the fixed points of more than one in ten of a cell's images are not reached."""
        residuals = [item.residual for item in scores_of(self.cells.get(key, ())) if item.residual is not None]
        return 10 * sum(residual > LARGEST_RESIDUAL for residual in residuals) > len(residuals)

    def reference(self, task: str, method: str, metric: Metric) -> Estimate | None:
        """Return what a method without training reaches; None where it is not measured on the task's images."""
        entry = self.references.get((task, method))
        return estimate(entry.values.items, metric) if entry and entry.values else None

    @property
    def methods(self) -> list[str]:
        """The methods without training that any task has, in ``METHODS``' order."""
        return [method for method in METHODS if any(method == key[1] for key in self.references)]

    def start_of(self, task: str) -> Start | None:
        """Return which image the networks of a task start from; None where none was trained."""
        return next((cell[0].spec.start for key, cell in self.cells.items() if key[0] == task), None)

    def start(self, task: str, metric: Metric) -> Estimate | None:
        """Return the starting images' quality, which every cell of the task shares."""
        start: StartMetric = "start_psnr_db" if metric == "psnr_db" else "start_ssim"
        found = (self.estimate(key, start) for key in self.cells if key[0] == task)
        return next((value for value in found if value is not None), None)


def studies(entries: Iterable[AccuracyEntry], references: Iterable[ReferenceEntry] = ()) -> list[Study]:
    """Group accuracy entries into studies, the headline study first.

    Args:
        entries: one environment per cell.
        references: methods without training; each study takes those that were graded on its tasks' images.
    """
    without_training = list(references)
    groups = grouped(entries, lambda entry: Group(entry.spec.scale, entry.spec.data != "generated"))
    ordered = sorted(groups, key=lambda group: group.rank, reverse=True)
    return [_study_of_starts(group, groups[group], without_training) for group in ordered]


def scores_of(entries: Iterable[AccuracyEntry]) -> list[ImageScore]:
    """Return every held-out image's scores, seed after seed."""
    return [item for entry in entries if entry.values for item in entry.values.items]


def _study_of_starts(group: Group, entries: list[AccuracyEntry], references: list[ReferenceEntry]) -> Study:
    """Compare what starts alike; of a task's starts, the one of most cells is the study's, or the paper's."""
    by_task = grouped(entries, lambda entry: entry.spec.task)
    usual = [entry for members in by_task.values() for entry in dominant(members, _start, _column, _is_papers)]
    others: dict[Start, list[AccuracyEntry]] = {}
    chosen = set(map(id, usual))
    for entry in entries:
        if id(entry) not in chosen:
            others.setdefault(_start(entry), []).append(entry)
    apart = {start: _with_references(_study(group, members), references) for start, members in sorted(others.items())}
    study = _with_references(_study(group, usual), references)
    return replace(study, other_starts=apart, left_out=study.left_out + sum(part.left_out for part in apart.values()))


def _study(group: Group, entries: list[AccuracyEntry]) -> Study:
    cells: dict[CellKey, tuple[AccuracyEntry, ...]] = {}
    twins: dict[CellKey, tuple[AccuracyEntry, ...]] = {}
    for task, candidates in sorted(grouped(entries, lambda entry: entry.spec.task).items()):
        graded_alike = dominant(candidates, _grading, _column)
        in_one_precision = dominant(graded_alike, lambda entry: entry.spec.precision, _column)
        in_column = grouped(graded_alike, _column)
        for column, same in sorted(grouped(in_one_precision, _column).items()):
            trained_alike = dominant(same, _training, lambda entry: entry.spec.seed)
            cells[(task, *column)] = tuple(sorted(trained_alike, key=lambda entry: entry.spec.seed))
            chosen = set(map(id, trained_alike))
            shown = {_but_for_precision(entry.spec) for entry in trained_alike}
            others = (entry for entry in in_column[column] if id(entry) not in chosen)
            twins[(task, *column)] = tuple(entry for entry in others if _but_for_precision(entry.spec) in shown)
    known = sum(map(len, (*cells.values(), *twins.values())))
    return Study(group, cells, len(entries) - known, twins={key: found for key, found in twins.items() if found})


def _column(entry: AccuracyEntry) -> tuple[str, str]:
    return entry.spec.model, entry.spec.loss


def _start(entry: AccuracyEntry) -> Start:
    return entry.spec.start


def _is_papers(entry: AccuracyEntry) -> bool:
    return entry.spec.start == "adjoint"


def _but_for_precision(spec: AccuracySpec) -> AccuracySpec:
    return spec.model_copy(update={"precision": "fp32"})


def _with_references(study: Study, references: list[ReferenceEntry]) -> Study:
    found: dict[tuple[str, str], ReferenceEntry] = {}
    for task in {task for task, _, _ in study.cells}:
        graded = {_grading(entry) for key, cell in study.cells.items() if key[0] == task for entry in cell}
        for method in METHODS:
            alike = [r for r in references if (r.spec.task, r.spec.method) == (task, method) and _grading(r) in graded]
            best = newest(alike)
            if best is not None:
                found[task, method] = best
    return replace(study, references=found)


def _grading(entry: AccuracyEntry | ReferenceEntry) -> tuple[str, tuple[int, int], int, str | None]:
    spec = entry.spec
    return spec.data, spec.image_shape, spec.test_images, spec.files.test if spec.files else None


def _training(entry: AccuracyEntry) -> tuple[object, ...]:
    spec = entry.spec
    trained = spec.policy, spec.precision, spec.recipe, spec.train_images, spec.code, spec.files, spec.processes
    return *trained, spec.start
