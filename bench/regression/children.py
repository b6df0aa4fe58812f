"""Measures in processes of their own, whose environment stands for other processors. Never imports torch."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import click
from pydantic import Field

from bench.records.frozen import Frozen
from bench.regression.baseline import ROOT, Environment, Figures, Measured

PARTS = ("environment", "figures", "trainings", "psnr")
RoundedPart = Literal["trainings", "psnr"]


class FiguresAnswer(Frozen):
    """What a process that measured figures writes."""

    figures: Figures
    identities: dict[str, tuple[str, str]] = Field(description="record -> its file's name, the name of its content")


@dataclass(frozen=True, kw_only=True)
class Variant:
    """How an environment differs.

    Attributes:
        flags: environment variables.
        threads: of torch.
        python: the interpreter, with its own torch.
    """

    flags: Mapping[str, str] = field(default_factory=dict)
    threads: int = 1
    python: str = sys.executable


PLAIN = Variant()
VARIANTS: dict[str, Variant] = {
    "two threads": Variant(threads=2),
    "oldest kernels": Variant(
        flags={"ONEDNN_MAX_CPU_ISA": "SSE41", "ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE"}
    ),
    "AVX2": Variant(flags={"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_CBWR": "AVX2"}),
    "AVX2, two threads": Variant(flags={"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}, threads=2),
    "AVX512": Variant(flags={"ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "ATEN_CPU_CAPABILITY": "avx512"}),
    "AVX512 with AMX": Variant(flags={"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_AMX", "ATEN_CPU_CAPABILITY": "avx512"}),
}
"""What stands in for other processors; one that lacks an instruction set uses the best that it has."""


def environment() -> Environment:
    """Return the environment of a process that measures."""
    return Environment.model_validate_json(_answer("environment", PLAIN, ROOT))


def figures(results: Path) -> FiguresAnswer:
    """Measure the figures that are the same everywhere.

    Raises:
        click.ClickException: if they cannot be measured.
    """
    return FiguresAnswer.model_validate_json(_answer("figures", PLAIN, results))


def measured(part: RoundedPart, results: Path, variant: Variant = PLAIN) -> Measured:
    """Measure numbers that depend on the processor.

    Args:
        part: ``trainings`` or ``psnr``.
        results: the results folder, whose weights are graded.
        variant: the environment.

    Raises:
        click.ClickException: if they cannot be measured.
    """
    return Measured.model_validate_json(_answer(part, variant, results))


def measured_elsewhere(
    part: RoundedPart, results: Path, pythons: Sequence[str], told: Callable[[str], None]
) -> dict[str, Measured]:
    """Measure the same numbers in every environment that stands for another machine.

    Args:
        part: ``trainings`` or ``psnr``.
        results: the results folder.
        pythons: further interpreters, with other versions of torch.
        told: called with the name of every environment before it is measured.
    """
    found = {}
    for name, variant in (VARIANTS | {python: Variant(python=python) for python in pythons}).items():
        told(name)
        answer = measured(part, results, variant)
        found[f"torch {answer.environment.torch}" if name in pythons else name] = answer
    return found


def ours(tree: Path = ROOT, threads: int = 1, flags: Mapping[str, str] = {}) -> dict[str, str]:
    """Return the environment variables of a process that imports a tree's packages.

    Args:
        tree: the checkout.
        threads: of torch.
        flags: further variables.
    """
    return {**os.environ, **flags, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": str(threads), "CUDA_VISIBLE_DEVICES": ""}


def _answer(part: str, variant: Variant, results: Path) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "answer.json"
        command = [variant.python, "-m", "bench.regression", part, str(output)]
        options = ["--threads", str(variant.threads), "--results", str(results.resolve())]
        environment = ours(ROOT, variant.threads, variant.flags)
        ended = subprocess.run(  # noqa: S603  # our own module, no shell
            [*command, *options], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        if ended.returncode or not output.exists():
            last = (ended.stderr.strip().splitlines() or ["no message"])[-1]
            raise click.ClickException(f"cannot measure {part}: {last}")
        return output.read_bytes()
