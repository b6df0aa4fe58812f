"""Proves on a GPU which batch fits: every probe is a training run in a process of its own.

The cap is the process's: what it holds outside the caching allocator, its libraries loaded, is measured and taken
off before ``set_per_process_memory_fraction`` limits the allocator. That is "this GPU under an 8 GB cap", not an
8 GB card: a smaller card's context and kernels differ.
"""

import json
import os
import subprocess
import sys
from typing import Any, Literal

import click
import torch

from bench.cli import resolve_model, run
from bench.environment import pick_device
from bench.memory.nvml import claim_gpu, process_bytes
from bench.record import MemorySpec
from bench.sizes import MIB
from bench.tasks import TASKS
from bench.training.step import make_optimizer, training_step
from bench.values import Probe

PROBE_STEPS = 3
PROBE_TIMEOUT_S = 900
WARM_UP_SHAPE = (48, 48)
BARE_CONTEXT_BYTES = 300 * MIB
"""What is gone before the first call of mem_get_info; NVIDIA's smallest."""
OUT_OF_MEMORY_EXIT, DISGUISED_EXIT = 3, 4
DISGUISED = ("CUBLAS_STATUS_ALLOC_FAILED", "Unable to find an engine", "CUDNN_STATUS_ALLOC_FAILED")
"""Errors that libraries raise when a workspace cannot be had, and for other reasons too."""

Answer = dict[str, Any] | Literal["out of memory", "disguised"]


class ProbeError(RuntimeError):
    """A probe that failed for another reason than memory."""


def probe(spec: MemorySpec, batch: int, device: torch.device) -> Probe:
    """Train for three steps at a batch size under the cap, in a fresh process.

    Returns:
        Whether it fits, and the peaks. Where it does not fit, they are those of a run without a cap, or the
        device's memory where that fails too.

    Raises:
        ProbeError: if the process fails for another reason than memory.
    """
    capped = _run(spec, batch, device, spec.cap_bytes)
    if isinstance(capped, dict):
        return Probe(batch=batch, fits=True, **capped)
    if capped == "disguised" and (batch == 1 or _run(spec, max(batch // 2, 1), device, spec.cap_bytes) == "disguised"):
        raise ProbeError(f"a library finds no workspace at half of batch {batch} either: that is not the cap's doing")
    free = _run(spec, batch, device, None)
    if isinstance(free, dict):
        return Probe(batch=batch, fits=False, **free)
    return Probe(batch=batch, peak_bytes=torch.cuda.get_device_properties(device).total_memory, fits=False)


def _run(spec: MemorySpec, batch: int, device: torch.device, cap_bytes: int | None) -> Answer:
    """Run a probe process and return its figures, or how memory ran out."""
    request = {
        "spec": spec.model_dump(mode="json"),
        "batch": batch,
        "cap_bytes": cap_bytes,
        "device": str(device),
    }
    command = [sys.executable, "-m", "bench.memory.cuda", json.dumps(request)]
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
    result: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return result


def claim_cuda(name: str, purpose: str) -> torch.device:
    """Return a CUDA device that nobody else uses, its flags pinned.

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
    pin_flags(device)
    return device


def pin_flags(device: torch.device) -> None:
    """Let neither benchmarks nor TF32 decide which kernels run, and with them which workspaces."""
    torch.cuda.set_device(device)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False


def context_bytes(spec: MemorySpec, device: torch.device) -> int:
    """Measure what this process holds beside its allocator once a training step has loaded every library.

    NVML's figure; where NVML shows no process (in some containers), the device memory that vanished.
    """
    free_before, _ = torch.cuda.mem_get_info(device)
    train(spec.model_copy(update={"image_shape": WARM_UP_SHAPE}), 1, device, steps=1)
    release(device)
    free_after, _ = torch.cuda.mem_get_info(device)
    held = process_bytes(device) or free_before - free_after + BARE_CONTEXT_BYTES
    return held - torch.cuda.memory_reserved(device)


def release(device: torch.device) -> None:
    """Give everything that is not in use back to the device, cuBLAS's workspaces too."""
    torch.cuda.synchronize(device)
    torch._C._cuda_clearCublasWorkspaces()
    torch.cuda.empty_cache()


def train_under_cap(request: dict[str, Any]) -> dict[str, int]:
    """Run the training steps of one probe in this process.

    Args:
        request: ``spec``, ``batch``, ``cap_bytes`` (None for none) and ``device``.

    Returns:
        The fields of a ``Probe`` that a run measures.

    Raises:
        torch.OutOfMemoryError: if the steps do not fit.
    """
    spec, device = MemorySpec(**request["spec"]), torch.device(request["device"])
    pin_flags(device)
    context = context_bytes(spec, device)
    if request["cap_bytes"] is not None:
        allowed = request["cap_bytes"] - context
        if allowed <= 0:
            raise torch.OutOfMemoryError("the CUDA context alone exceeds the cap")
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(min(allowed / total, 1.0), device)
    train(spec, request["batch"], device)
    statistics = torch.cuda.memory_stats(device)
    return {
        "peak_bytes": torch.cuda.max_memory_reserved(device) + context,
        "requested_bytes": int(statistics["requested_bytes.all.peak"]),
        "allocated_bytes": torch.cuda.max_memory_allocated(device),
        "context_bytes": context,
        "nvml_bytes": process_bytes(device),
        "retries": int(statistics["num_alloc_retries"]),
    }


def train(spec: MemorySpec, batch: int, device: torch.device, steps: int = PROBE_STEPS) -> None:
    """Train from scratch; peaks afterwards are those of the steps, model, images and optimiser included."""
    task = TASKS[spec.task]
    operator = task.operator_at(spec.image_shape, device)
    operator.norm()
    model = resolve_model(spec.model)(channels=task.channels).to(device).train()
    model.policy = spec.policy
    truth = torch.rand(batch, *operator.image_shape, device=device)
    with torch.no_grad():
        y = operator(truth)
    release(device)  # what finding the norm took is no part of a training step
    torch.cuda.reset_peak_memory_stats(device)
    optimizer = make_optimizer(model)
    for _ in range(steps):
        training_step(model, optimizer, operator, y, truth, "final", spec.precision)
    torch.cuda.synchronize(device)


@click.command(hidden=True)
@click.argument("request")
def main(request: str) -> int:
    """Run one probe described by a JSON request and print its figures as JSON."""
    try:
        click.echo(json.dumps(train_under_cap(json.loads(request))))
    except torch.OutOfMemoryError:
        return OUT_OF_MEMORY_EXIT
    except RuntimeError as error:
        if any(sign in str(error) for sign in DISGUISED):
            return DISGUISED_EXIT
        raise
    return 0


if __name__ == "__main__":
    run(main)
