"""The device of a measurement, and the provenance in its record."""

import ctypes
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click
import torch

from bench.records.kernels import pin_kernels
from bench.records.record import Provenance

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # of glibc's malloc.h
ROOT = Path(__file__).resolve().parents[2]
RESULT_FOLDERS = ("results", "reports")
COMMIT_VARIABLE = "BENCH_COMMIT"
"""Where there is no repository: the commit as ``git describe --always --abbrev=40 --dirty`` tells it."""
FLAGS = (
    *("MALLOC_", "LD_PRELOAD", "OMP_", "GOMP_", "KMP_", "MKL_", "ONEDNN_", "DNNL_", "ATEN_"),
    *("PYTORCH_", "TORCH_ALLOW_", "NVIDIA_TF32_", "CUBLAS_", "CUDNN_"),
)
"""How the names of environment variables begin that can move a number or a speed."""


def pick_device(name: str) -> torch.device:
    """Turn ``--device`` into a device, and pin a GPU's kernels: all that is measured there shares them.

    Args:
        name: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Returns:
        The device; a CUDA device has a number, without which torch does not take it everywhere.

    Raises:
        click.ClickException: if the device is unknown or absent.
    """
    pin_kernels()
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise click.ClickException(f"unknown device {name!r}: write cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise click.ClickException(f"device {name!r} is not supported: write cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise click.ClickException(f"device {name!r} is absent: {torch.cuda.device_count()} CUDA devices here")
    return torch.device("cuda", device.index or 0) if device.type == "cuda" else device


def share_device(device: torch.device, jobs: int) -> None:
    """Let jobs at once share a processor's cores: each has its part of the threads. Each has a GPU of its own.

    Raises:
        click.ClickException: if there are more jobs than GPUs, or one GPU is named for all.
    """
    if device.type == "cuda" and jobs > torch.cuda.device_count():
        raise click.ClickException(f"--jobs {jobs}: there are {torch.cuda.device_count()} GPUs, one per job")
    if device.type == "cuda" and jobs > 1 and device.index:
        raise click.ClickException(f"--jobs {jobs} takes the first {jobs} GPUs: write --device cuda, not {device}")
    if device.type == "cpu" and jobs > 1:
        torch.set_num_threads(max(torch.get_num_threads() // jobs, 1))


def provenance(device: torch.device | None, **options: Any) -> Provenance:
    """Describe this machine, this code and the flags that can move a number.

    Args:
        device: where the cell runs; None for a simulation, which is the same on every machine.
        options: flags to record.
    """
    commit, dirty = _git_state()
    return Provenance(
        created=datetime.now(timezone.utc),
        commit=commit,
        dirty=dirty,
        device="simulated" if device is None else device_name(device),
        python=platform.python_version(),
        # The local part of the version names the build (CPU or CUDA): no part of a simulation.
        torch=torch.__version__.partition("+")[0] if device is None else torch.__version__,
        platform="any" if device is None else f"{platform.system()} {platform.machine()}",
        threads=0 if device is None else torch.get_num_threads(),
        options=options,
    )


def installed(names: Iterable[str]) -> tuple[str, ...]:
    """Return 'name version' of every one of some distributions that is installed.

    Args:
        names: as ``pip install`` knows them.
    """
    found = []
    for name in names:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return tuple(found)


def number_flags(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment variables that can move a number or a speed, sorted by name.

    Args:
        environment: name -> value. Of a list of files, such as ``LD_PRELOAD``, the names are kept and no folder.
    """
    found = {name: value for name, value in sorted(environment.items()) if name.startswith(FLAGS)}
    return {name: re.sub(r"[^\s:;,=]*/", "", value) for name, value in found.items()}


def keep_freed_memory() -> None:
    """Let glibc keep what is freed, for the next step asks for it again: no result changes.

    By default it gives large blocks back to the system, which has to clear every page of them anew.
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return
    library = ctypes.CDLL(None)
    for parameter, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, -1), (M_TOP_PAD, 2**26)):
        library.mallopt(parameter, value)


def bf16_on_amx(device: torch.device) -> bool | None:
    """Return whether bfloat16 convolutions run on the processor's AMX units, from its and oneDNN's settings.

    Args:
        device: where they run; never on AMX on a GPU.

    Returns:
        None where the processor does not say what it has.
    """
    if device.type != "cpu":
        return False
    words = next((line for line in _processor_lines() if line.startswith("flags")), "").split()
    if not words:
        return None
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", os.environ.get("DNNL_MAX_CPU_ISA", "ALL")).upper()
    return "amx_bf16" in words and (limit in ("ALL", "DEFAULT") or "AMX" in limit)


def device_name(device: torch.device) -> str:
    """Return the GPU's or the processor's name as its maker gives it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    for line in _processor_lines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _processor_lines() -> list[str]:
    info = Path("/proc/cpuinfo")
    return info.read_text().splitlines() if info.exists() else []


def _git_state() -> tuple[str | None, bool]:
    """Commit of the code that runs and whether it differs; results and reports may, they are output."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        told = os.environ.get(COMMIT_VARIABLE, "").strip()
        return told.removesuffix("-dirty") or None, told.endswith("-dirty")

    def ask(*arguments: str) -> str:
        answer = subprocess.run([git, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603  # no shell
        return answer.stdout.strip()

    excluded = [f":(exclude){folder}" for folder in RESULT_FOLDERS]
    return ask("rev-parse", "HEAD") or None, bool(ask("status", "--porcelain", "--", ".", *excluded))
