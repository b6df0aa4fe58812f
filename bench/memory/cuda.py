"""Proves on a GPU which batch fits: every probe is a training run in a process of its own, see ``steps.py``.

The cap is the process's: what it holds outside the caching allocator, its libraries loaded, is measured and taken
off before ``set_per_process_memory_fraction`` limits the allocator. That is "this GPU under an 8 GB cap", not an
8 GB card: a smaller card's context and kernels differ.
"""

import json
import os
import subprocess
import sys
from functools import cache
from typing import Any, Literal, TypeGuard

import click
import torch

from bench.environment import pick_device
from bench.memory.nvml import claim_gpu, used_bytes
from bench.memory.steps import DISGUISED_EXIT, OUT_OF_MEMORY_EXIT
from bench.record import MemorySpec
from bench.values import Probe

PROBE_TIMEOUT_S = 900

Figures = dict[str, Any]
Answer = Figures | Literal["out of memory", "disguised"]


class ProbeError(click.ClickException):
    """A probe that failed for another reason than memory."""


def context_alone(spec: MemorySpec, device: torch.device) -> int:
    """Return the bytes that a process holds beside its allocator, measured once a question while nobody else is there.

    Args:
        spec: the question; its cap does not matter.
        device: a CUDA device, claimed.

    Raises:
        ProbeError: if the process fails.
    """
    return _context_alone(spec.model_copy(update={"cap_bytes": 0}), device)


@cache
def _context_alone(spec: MemorySpec, device: torch.device) -> int:
    answer = _run(spec, 1, device, None, None)
    if not isinstance(answer, dict):
        raise ProbeError(f"measuring the CUDA context on {device}: {answer}")
    return int(answer["context_bytes"])


def probe(spec: MemorySpec, batch: int, device: torch.device, context_bytes: int) -> Probe:
    """Train for three steps at a batch size under the cap, in a fresh process.

    Args:
        spec: the question.
        batch: images a step.
        device: a CUDA device.
        context_bytes: as ``context_alone`` measured it; where NVML tells it of the probe's own process, that counts.

    Returns:
        Whether it fits, and the peaks. Where it does not fit, they are those of a run without a cap, or the
        device's memory where that fails too.

    Raises:
        ProbeError: if the process fails for another reason than memory.
    """
    cap = spec.cap_bytes
    capped = _run(spec, batch, device, cap, context_bytes)
    if isinstance(capped, dict) and not _under(capped, cap) and capped["context_bytes"] > context_bytes:
        context_bytes = capped["context_bytes"]  # this batch's kernels are larger: the limit was too wide by that
        capped = _run(spec, batch, device, cap, context_bytes)
    if _under(capped, cap):
        return Probe(batch=batch, fits=True, **capped)
    if capped == "disguised" and (batch == 1 or _run(spec, batch // 2, device, cap, context_bytes) == "disguised"):
        raise ProbeError(f"a library finds no workspace at half of batch {batch} either: that is not the cap's doing")
    free = _run(spec, batch, device, None, context_bytes)
    if isinstance(free, dict):
        return Probe(batch=batch, fits=False, **free)
    return Probe(batch=batch, peak_bytes=torch.cuda.get_device_properties(device).total_memory, fits=False)


def _under(answer: Answer, cap_bytes: int) -> TypeGuard[Figures]:
    """Whether the steps ran, and neither our account nor NVML's of the process is above the cap."""
    return isinstance(answer, dict) and max(answer["peak_bytes"], answer.get("nvml_bytes") or 0) <= cap_bytes


def _run(
    spec: MemorySpec, batch: int, device: torch.device, cap_bytes: int | None, context_bytes: int | None
) -> Answer:
    """Run a process of ``steps.py`` and return its figures, or how memory ran out."""
    request = {
        "spec": spec.model_dump(mode="json"),
        "batch": batch,
        "cap_bytes": cap_bytes,
        "context_bytes": context_bytes,
        "used_bytes": used_bytes(device) if context_bytes is None else None,
        "device": str(device),
    }
    command = [sys.executable, "-m", "bench.memory.steps", json.dumps(request)]
    environment = os.environ | {
        "PYTORCH_CUDA_ALLOC_CONF": f"expandable_segments:{spec.expandable_segments}",
    }
    try:
        answer = subprocess.run(  # noqa: S603  # no shell
            command, capture_output=True, text=True, timeout=PROBE_TIMEOUT_S, check=False, env=environment
        )
    except subprocess.TimeoutExpired as error:
        raise ProbeError(f"the probe at batch {batch} took more than {PROBE_TIMEOUT_S} s") from error
    if answer.returncode == OUT_OF_MEMORY_EXIT:
        return "out of memory"
    if answer.returncode == DISGUISED_EXIT:
        return "disguised"
    if answer.returncode:
        last = (answer.stderr.strip().splitlines() or ["no message"])[-1]
        raise ProbeError(f"the probe at batch {batch} failed with exit code {answer.returncode}: {last}")
    result: Figures = json.loads(answer.stdout.splitlines()[-1])
    return result


def claim_cuda(name: str, purpose: str) -> torch.device:
    """Return a CUDA device that nobody else uses; this process has no context there yet.

    Args:
        name: as for ``pick_device``.
        purpose: what needs it, in words: 'a calibration measures'.

    Raises:
        click.ClickException: if it is no CUDA device, absent or in use.
    """
    device = pick_device(name)
    if device.type != "cuda":
        raise click.ClickException(f"{purpose} a CUDA device, and {name} is none")
    claim_gpu(device, wait_s=0)
    return device
