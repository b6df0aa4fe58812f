"""Proves on a GPU which batch fits: every probe is a training run in a process of its own.

The cap is the process's: what the CUDA context holds outside the caching allocator is measured through NVML and
taken off before ``set_per_process_memory_fraction`` limits the allocator. That is "this GPU under an 8 GB cap",
not an 8 GB card: a smaller card's context and kernels differ.
"""

import json
import os
import subprocess
import sys
from typing import Any

import click
import pynvml
import torch

from bench.cli import resolve_model, run
from bench.record import MemorySpec
from bench.tasks import TASKS
from bench.train import make_optimizer, training_step
from bench.values import Probe

PROBE_STEPS = 3
PROBE_TIMEOUT_S = 900
OUT_OF_MEMORY_EXIT = 3
DISGUISED = ("CUBLAS_STATUS_ALLOC_FAILED", "Unable to find an engine", "CUDNN_STATUS_ALLOC_FAILED")
"""Errors that libraries raise when a workspace cannot be had."""


class ProbeError(RuntimeError):
    """A probe that failed for another reason than memory."""


def probe(spec: MemorySpec, batch: int, device: torch.device) -> Probe:
    """Train for three steps at a batch size under the cap, in a fresh process.

    Returns:
        Whether it fits, and the peak: reserved segments plus the measured context. Where it does not fit,
        the peak is the one of a run without a cap, or the device's memory where that fails too.

    Raises:
        ProbeError: if the process fails for another reason than memory.
    """
    capped = _run(spec, batch, device, spec.cap_bytes)
    if capped is not None:
        return Probe(batch=batch, peak_bytes=capped["peak_bytes"], fits=True)
    free = _run(spec, batch, device, None)
    peak = free["peak_bytes"] if free is not None else torch.cuda.get_device_properties(device).total_memory
    return Probe(batch=batch, peak_bytes=peak, fits=False)


def _run(spec: MemorySpec, batch: int, device: torch.device, cap_bytes: int | None) -> dict[str, Any] | None:
    """Run a probe process; None where it ran out of memory."""
    request = {
        "spec": spec.model_dump(mode="json"),
        "batch": batch,
        "cap_bytes": cap_bytes,
        "device": str(device),
    }
    command = [sys.executable, "-m", "bench.memory.cuda", json.dumps(request)]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_TIMEOUT_S, check=False)  # noqa: S603  # no shell
    if answer.returncode == OUT_OF_MEMORY_EXIT:
        return None
    if answer.returncode:
        last = (answer.stderr.strip().splitlines() or ["no message"])[-1]
        raise ProbeError(f"the probe at batch {batch} failed with exit code {answer.returncode}: {last}")
    result: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return result


def process_bytes(device: torch.device) -> int:
    """Return what NVML says this process holds on the device, context included; 0 where NVML can't tell."""
    pynvml.nvmlInit()
    try:
        handle = pynvml.nvmlDeviceGetHandleByPciBusId(_bus_id(device))
        processes = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
        return next((p.usedGpuMemory or 0 for p in processes if p.pid == os.getpid()), 0)
    finally:
        pynvml.nvmlShutdown()


def _bus_id(device: torch.device) -> str:
    properties: Any = torch.cuda.get_device_properties(device)  # the stubs lack the PCI fields
    return f"{properties.pci_domain_id:08x}:{properties.pci_bus_id:02x}:{properties.pci_device_id:02x}.0"


def _context_bytes(device: torch.device) -> int:
    """What the process holds before its first tensor: NVML's figure, else the device memory that vanished."""
    free_before, total = torch.cuda.mem_get_info(device)
    return process_bytes(device) or total - free_before


def train_under_cap(request: dict[str, Any]) -> dict[str, int]:
    """Run the training steps of one probe in this process.

    Args:
        request: ``spec``, ``batch``, ``cap_bytes`` (None for none) and ``device``.

    Returns:
        Reserved, allocated and total peak bytes, the context's bytes, NVML's final figure and alloc retries.

    Raises:
        torch.OutOfMemoryError: if the steps do not fit.
    """
    spec, device = MemorySpec(**request["spec"]), torch.device(request["device"])
    torch.cuda.init()
    torch.cuda.set_device(device)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    context = _context_bytes(device)
    if request["cap_bytes"] is not None:
        total = torch.cuda.get_device_properties(device).total_memory
        allowed = request["cap_bytes"] - context
        if allowed <= 0:
            raise torch.OutOfMemoryError("the CUDA context alone exceeds the cap")
        torch.cuda.set_per_process_memory_fraction(min(allowed / total, 1.0), device)
    _train(spec, request["batch"], device)
    statistics = torch.cuda.memory_stats(device)
    reserved = torch.cuda.max_memory_reserved(device)
    return {
        "peak_bytes": reserved + context,
        "reserved_bytes": reserved,
        "allocated_bytes": torch.cuda.max_memory_allocated(device),
        "context_bytes": context,
        "nvml_bytes": process_bytes(device),
        "retries": int(statistics["num_alloc_retries"]),
    }


def _train(spec: MemorySpec, batch: int, device: torch.device) -> None:
    task = TASKS[spec.task]
    operator = task.operator_at(spec.image_shape, device)
    model = resolve_model(spec.model)(channels=task.channels).to(device).train()
    model.policy = spec.policy
    operator.norm()
    torch.cuda.empty_cache()  # what finding the norm took is no part of a training step
    torch.cuda.reset_peak_memory_stats(device)
    truth = torch.rand(batch, *operator.image_shape, device=device)
    y = operator(truth)
    optimizer = make_optimizer(model)
    for _ in range(PROBE_STEPS):
        training_step(model, optimizer, operator, y, truth, "final")
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
            return OUT_OF_MEMORY_EXIT
        raise
    return 0


if __name__ == "__main__":
    run(main)
