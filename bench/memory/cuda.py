"""Proves on a GPU which batch fits: every probe is a training run in its own process, see ``steps.py``.

The cap is that of the process: its memory outside the caching allocator, with all libraries loaded, is measured and
subtracted before ``set_per_process_memory_fraction`` limits the allocator. That is "this GPU under an 8 GB cap", not an
8 GB card: a smaller card's context and kernels differ.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from typing import TypeGuard

import click
import torch

from bench.memory.calibration import DOCUMENTED, Rules
from bench.memory.nvml import claim_gpu, used_bytes
from bench.memory.replay import judge
from bench.memory.simulate import trace_key
from bench.memory.steps import DISGUISED_EXIT, OUT_OF_MEMORY_EXIT, Answer, Figures
from bench.memory.traces import trace_of
from bench.records import FitSpec, Probe
from bench.records.environment import pick_device

PROBE_TIMEOUT_S = 900

Run = Callable[[Figures], Answer]
"""Answers a request of ``steps.py`` in a process of its own, or raises ``ProbeError``."""


class ProbeError(click.ClickException):
    """A probe that failed for another reason than memory."""


def run_fresh(request: Figures, timeout_s: float = PROBE_TIMEOUT_S) -> Answer:
    """Answer a request in a fresh interpreter.

    Args:
        request: as for ``steps.answer``.
        timeout_s: the most seconds that it may take.

    Raises:
        ProbeError: if it fails for another reason than memory.
    """
    command = [sys.executable, "-m", "bench.memory.steps", json.dumps(request)]
    environment = os.environ | allocator_setting(bool(request["spec"]["expandable_segments"]))
    batch = request["batch"]
    try:
        answer = subprocess.run(  # noqa: S603  # no shell
            command, capture_output=True, text=True, timeout=timeout_s, check=False, env=environment
        )
    except subprocess.TimeoutExpired as error:
        raise ProbeError(f"the probe at batch {batch} took more than {timeout_s:.0f} s") from error
    if answer.returncode == OUT_OF_MEMORY_EXIT:
        return "out of memory"
    if answer.returncode == DISGUISED_EXIT:
        return "disguised"
    if answer.returncode:
        last = (answer.stderr.strip().splitlines() or ["no message"])[-1]
        raise ProbeError(f"the probe at batch {batch} failed with exit code {answer.returncode}: {last}")
    result: Figures = json.loads(answer.stdout.splitlines()[-1])
    return result


def allocator_setting(expandable: bool) -> dict[str, str]:
    """Return the environment variable that selects expandable segments for a process's allocator."""
    return {"PYTORCH_CUDA_ALLOC_CONF": f"expandable_segments:{expandable}"}


def context_alone(spec: FitSpec, device: torch.device, run: Run = run_fresh) -> int:
    """Return the bytes that a process holds outside its allocator, measured once per question on an idle GPU.

    Args:
        spec: the question; its cap does not matter.
        device: a CUDA device, claimed.
        run: starts the process.

    Raises:
        ProbeError: if the process fails.
    """
    return _context_alone(spec.model_copy(update={"cap_bytes": 0}), device, run)


@cache
def _context_alone(spec: FitSpec, device: torch.device, run: Run) -> int:
    answer = run(_request(spec, 1, device, None))
    if not isinstance(answer, dict):
        raise ProbeError(f"measuring the CUDA context on {device}: {answer}")
    return int(answer["context_bytes"])


def probe(
    spec: FitSpec,
    batch: int,
    device: torch.device,
    context_bytes: int,
    run: Run = run_fresh,
    rules: Rules = DOCUMENTED.expected,
) -> Probe:
    """Train for three steps at a batch size under the cap, in a process of its own.

    Args:
        spec: the question.
        batch: images per step.
        device: a CUDA device.
        context_bytes: as ``context_alone`` measured it; NVML's figure of the probe's own process replaces it where
            there is one.
        run: starts the process.
        rules: of the simulation that gives the peak of a batch that does not fit.

    Returns:
        Whether it fits, and the peaks; where memory ran out, the peak is simulated.

    Raises:
        ProbeError: if the process fails for another reason than memory.
    """
    cap = spec.cap_bytes
    found = run(_request(spec, batch, device, context_bytes))
    if isinstance(found, dict) and not _under(found, cap) and found["context_bytes"] > context_bytes:
        context_bytes = found["context_bytes"]  # this batch's kernels are larger: the limit was too wide by that
        found = run(_request(spec, batch, device, context_bytes))
    if isinstance(found, dict):
        return Probe(batch=batch, fits=_under(found, cap), **found)
    half = _request(spec, batch // 2, device, context_bytes)
    if found == "disguised" and (batch == 1 or run(half) == "disguised"):
        raise ProbeError(f"a library finds no workspace at half of batch {batch} either: that is not the cap's doing")
    simulated = judge(trace_of(trace_key(spec)), batch, cap, rules, expandable=spec.expandable_segments)
    return Probe(batch=batch, fits=False, peak_bytes=max(simulated.peak_bytes, cap + 1), simulated_peak=True)


def _under(answer: Answer, cap_bytes: int) -> TypeGuard[Figures]:
    """Whether the steps ran, and neither our account nor NVML's of the process is above the cap."""
    return isinstance(answer, dict) and max(answer["peak_bytes"], answer.get("nvml_bytes") or 0) <= cap_bytes


def _request(spec: FitSpec, batch: int, device: torch.device, context_bytes: int | None) -> Figures:
    """Return a request of ``steps.py``; one without ``context_bytes`` asks for them."""
    return {
        "spec": spec.model_dump(mode="json"),
        "batch": batch,
        "cap_bytes": spec.cap_bytes,
        "context_bytes": context_bytes,
        "used_bytes": used_bytes(device) if context_bytes is None else None,
        "device": str(device),
    }


def claim_cuda(name: str, purpose: str) -> torch.device:
    """Return a CUDA device that no other process uses; this process has no context there yet.

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
