"""The paper's Tables 2 to 4 as typed data, read from paper.toml. Never imports torch."""

import sys
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Metric = Literal["psnr_db", "ssim"]
Property = Literal["training_time", "evaluation_time", "stability", "size", "expressiveness", "memory"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PaperModel(_Frozen):
    """One of the paper's networks: its key in ``MODELS``, its name in print and its column of Table 4."""

    key: str
    title: str
    family: str


class PaperTask(_Frozen):
    """One of the paper's tasks; the image shape is decoded from Table 3, not printed."""

    key: str
    title: str
    data: str
    image_shape: tuple[int, int]


class AccuracyRow(_Frozen):
    """One line of Table 2, keyed '<model>/<loss>'."""

    place: str
    task: str
    metric: Metric
    values: dict[str, float]


class ParametersRow(_Frozen):
    """One '#Params' line of Table 3, keyed by model."""

    place: str
    tasks: tuple[str, ...]
    values: dict[str, int]


class MaxBatchRow(_Frozen):
    """One capacity of Table 3, keyed by model; 0 where the paper prints '-'."""

    place: str
    tasks: tuple[str, ...]
    capacity_gb: int
    values: dict[str, int]

    @property
    def cap_bytes(self) -> tuple[int, int]:
        """What '8 GB' may mean: cards are sold in GB and built in GiB."""
        return self.capacity_gb * 2**30, self.capacity_gb * 10**9


class WordsRow(_Frozen):
    """One line of Table 4, keyed by family."""

    place: str
    property: Property
    title: str
    values: dict[str, str]


class Claim(_Frozen):
    """What the paper says of two columns of its Table 2, each '<model>/<loss>'."""

    text: str
    place: str
    relation: Literal["better", "similar"]
    first: str
    second: str
    tasks: tuple[str, ...]


class Paper(_Frozen):
    """Everything that reports print beside our own figures."""

    title: str
    reference: str
    models: tuple[PaperModel, ...]
    tasks: tuple[PaperTask, ...]
    table2: tuple[AccuracyRow, ...]
    claims: tuple[Claim, ...]
    parameters: tuple[ParametersRow, ...]
    max_batch: tuple[MaxBatchRow, ...]
    words: tuple[WordsRow, ...]

    def model_title(self, key: str) -> str:
        """Return a model's name in print; a user's 'package.module:Name' is called by its Name."""
        titles = {model.key: model.title for model in self.models}
        return titles.get(key, key.rpartition(":")[2])

    def task_title(self, key: str) -> str:
        """Return a task's name in print; a user's 'package.module:Name' is called by its Name."""
        titles = {task.key: task.title for task in self.tasks}
        return titles.get(key, key.rpartition(":")[2])

    def covering(self, measured: Collection[str]) -> list[str]:
        """Return the measured tasks, and one task of each block of Table 3 that has none."""
        unmeasured = {row.tasks[0] for row in self.parameters if not set(measured) & set(row.tasks)}
        return self.in_order({*measured, *unmeasured})

    def in_order(self, tasks: Collection[str]) -> list[str]:
        """Return tasks in the paper's order, the user's own after them."""
        known = [task.key for task in self.tasks]
        return [task for task in known if task in tasks] + sorted(set(tasks) - set(known))

    @property
    def accuracy_columns(self) -> tuple[tuple[str, str], ...]:
        """The (model, loss) columns of Table 2 in the paper's order."""
        pairs = (key.split("/") for key in self.table2[0].values)
        return tuple((model, loss) for model, loss in pairs)

    def accuracy(self, task: str, metric: Metric, model: str, loss: str) -> float | None:
        """Return a value of Table 2, None where the paper has none."""
        rows = (row.values for row in self.table2 if row.task == task and row.metric == metric)
        return next((row.get(f"{model}/{loss}") for row in rows), None)

    def parameter_count(self, task: str, model: str) -> int | None:
        """Return a '#Params' value of Table 3, None where the paper has none."""
        return next((row.values.get(model) for row in self.parameters if task in row.tasks), None)

    def largest_batch(self, task: str, model: str, cap_bytes: int) -> int | None:
        """Return a batch of Table 3 (0: does not fit), None where the paper has no such cell."""
        rows = (row for row in self.max_batch if task in row.tasks and cap_bytes in row.cap_bytes)
        return next((row.values.get(model) for row in rows), None)


@cache
def load_paper() -> Paper:
    """Read the paper's values, once a process."""
    text = Path(__file__).with_name("paper.toml").read_text(encoding="utf-8")
    return Paper.model_validate(tomllib.loads(text))
