"""Files of published trainings with their memory on real GPUs, one row per run."""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import click
from torch import nn

from bench.memory.proof.classifier import CONTEXT_BYTES, Classifier
from bench.memory.proof.perceptron import Perceptron
from bench.records import MIB


class PublishedTraining(Protocol):
    """A network and how it was trained."""

    @property
    def batch(self) -> int:
        """Samples per step."""

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one sample."""

    def network(self) -> nn.Module:
        """Build the network."""

    def make_step(self, batch: int) -> Callable[[], object]:
        """Build network, optimiser and data; return what runs one training step."""


@dataclass(frozen=True)
class Runs:
    """The contents of a file of runs.

    Attributes:
        source: kind of network.
        names: the first column, of every run.
        measured_bytes: peak of the whole device, of every run.
        trainings: of every run.
        constant_bytes: what a process takes outside its allocator, known from other runs; None: to be fitted.
    """

    source: Literal["perceptrons", "classifiers"]
    names: tuple[str, ...]
    measured_bytes: tuple[int, ...]
    trainings: tuple[PublishedTraining, ...]
    constant_bytes: int | None = None


@dataclass(frozen=True)
class _Kind:
    source: Literal["perceptrons", "classifiers"]
    peak: str
    """The column of the measured peak, in MiB."""
    columns: frozenset[str]
    """The others that make a file one of this kind."""
    read: Callable[[Mapping[str, str]], PublishedTraining]
    constant_bytes: int | None = None


def _classifier(row: Mapping[str, str]) -> Classifier:
    name, library = row["model"], row["library"]
    return Classifier(name, library, int(row["image"]), int(row["classes"]), int(row["batch"]))


_KINDS = (
    _Kind(
        "perceptrons", "Max GPU Memory (MiB)", frozenset({"Filename"}), lambda row: Perceptron.named(row["Filename"])
    ),
    _Kind(
        "classifiers",
        "measured_mib",
        frozenset({"model", "library", "image", "classes", "batch"}),
        _classifier,
        CONTEXT_BYTES,
    ),
)


def read_runs(path: Path) -> Runs | None:
    """Read a CSV file; None where its columns are those of no kind.

    Raises:
        click.ClickException: if a row cannot be understood; one line that names the file and the row.
    """
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        columns = set(reader.fieldnames or ())
        kind = next((kind for kind in _KINDS if kind.columns | {kind.peak} <= columns), None)
        if kind is None:
            return None
        names, measured, trainings = [], [], []
        for row in reader:
            try:
                measured.append(int(float(row[kind.peak]) * MIB))
                trainings.append(kind.read(row))
            except (TypeError, ValueError) as error:
                raise click.ClickException(f"{path}, line {reader.line_num}: {error}") from error
            names.append(next(iter(row.values())))
    return Runs(kind.source, tuple(names), tuple(measured), tuple(trainings), kind.constant_bytes)
