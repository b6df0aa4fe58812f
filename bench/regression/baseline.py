"""The stored baseline: one JSON file per gate. Never imports torch."""

import hashlib
from pathlib import Path
from typing import Literal, TypeVar

import click
from pydantic import Field, ValidationError

from bench.records.files import write_atomically
from bench.records.frozen import Frozen

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).parent / "baseline"

Gate = Literal["exact", "tolerance", "ratio"]
GATES: tuple[Gate, ...] = ("exact", "tolerance", "ratio")

Figures = dict[str, dict[str, str]]
"""Group -> what -> figure in words, which must be the same everywhere."""


class Environment(Frozen):
    """What decides how floating point numbers are rounded, and how fast."""

    processor: str = Field(description="name, and a digest of its instruction sets and caches")
    capability: str = Field(description="instruction set that torch uses, such as AVX512")
    torch: str
    threads: int
    flags: dict[str, str] = Field(description="environment variables that can move a number")


class Measured(Frozen):
    """Numbers that depend on the processor: by cell the losses of a short training, or the mean PSNR in dB."""

    environment: Environment
    values: dict[str, tuple[float, ...]]
    weights: dict[str, str] = Field(default_factory=dict, description="by cell, a digest of the trained weights")


class Spread(Frozen):
    """The same numbers in several environments, and the tolerances that follow from them."""

    reference: Measured
    elsewhere: dict[str, Measured] = Field(description="by what was changed about the environment")
    tolerances: dict[str, tuple[float, ...]] = Field(description="by cell, of every number: relative, or in dB")


class ExactBaseline(Frozen):
    """What must be the same: counts everywhere, trainings bit by bit where the environment is the same."""

    gate: Literal["exact"] = "exact"
    changelog: str = Field(description="digest of CHANGELOG.md when this was written")
    figures: Figures
    trainings: Spread


class ToleranceBaseline(Frozen):
    """PSNR of stored weights on generated images."""

    gate: Literal["tolerance"] = "tolerance"
    changelog: str
    psnr_db: Spread


class RatioBaseline(Frozen):
    """Processor time of our work over that of plain torch's, by machine; comparable only on the same machine."""

    gate: Literal["ratio"] = "ratio"
    changelog: str
    machines: dict[str, dict[str, tuple[float, ...]]] = Field(description="machine -> workload -> ratios")


Baseline = ExactBaseline | ToleranceBaseline | RatioBaseline
_Baseline = TypeVar("_Baseline", bound=Frozen)


def read_baseline(kind: type[_Baseline], folder: Path) -> _Baseline:
    """Read one gate's baseline.

    Args:
        kind: which.
        folder: where the baselines lie.

    Raises:
        click.ClickException: if the file is missing or no valid baseline; the message names it.
    """
    path = _path(kind, folder)
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise click.ClickException(
            f"{path}: cannot read the baseline: {error.strerror}; --update writes one"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "file"
        raise click.ClickException(f"{path}: not a valid baseline: {where}: {first['msg']}") from error


def write_baseline(baseline: Baseline, folder: Path) -> Path:
    """Write one gate's baseline and return its file."""
    path = _path(type(baseline), folder)
    write_atomically(path, (baseline.model_dump_json(indent=1) + "\n").encode())
    return path


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _path(kind: type[Frozen], folder: Path) -> Path:
    return folder / f"{kind.model_fields['gate'].default}.json"
