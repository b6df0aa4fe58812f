"""Real training steps on a GPU in their own process: ``cuda.py`` sends a request and reads the answer.

A process's memory outside its allocator is NVML's figure less what is reserved, after the steps have loaded every
kernel. Where NVML cannot tell the process from others, the figure was measured on an idle GPU and comes with the
request.
"""

import json
from typing import Any, Literal

import click
import torch

from bench.cli import run
from bench.memory.nvml import listed_processes, process_bytes, used_bytes
from bench.memory.real_step import PROBE_STEPS, train
from bench.records import MIB, FitSpec, MemorySpec, StepSpec
from bench.records.kernels import pin_kernels

BARE_CONTEXT_BYTES = 300 * MIB
"""What a context takes before the first call of mem_get_info: NVIDIA's smallest."""
OUT_OF_MEMORY_EXIT, DISGUISED_EXIT = 3, 4
DISGUISED = (
    "unable to find an engine",  # 'GET was ...' and 'FIND was ...' since torch 2.9
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
    "cudnn_status_internal_error_device_allocation_failed",
    "cufft_alloc_failed",
    "cuda error: out of memory",
    "cuda driver error: out of memory",
)
"""Errors, in lower case, that libraries raise when a workspace does not fit, and for other reasons too."""
Figures = dict[str, Any]
Answer = Figures | Literal["out of memory", "disguised"]
"""What the steps of one request measured, or how memory ran out."""


def memory_ran_out(error: RuntimeError) -> bool:
    """Say whether an error means that memory ran out, or may mean it in a library's words."""
    return isinstance(error, torch.OutOfMemoryError) or any(sign in str(error).lower() for sign in DISGUISED)


def take(device: torch.device, *, tf32: bool = False) -> None:
    """Make a device the current one, which gives the process its context, and pin its kernels.

    Args:
        device: a CUDA device with its number.
        tf32: see ``pin_kernels``.
    """
    torch.cuda.set_device(device)
    pin_kernels(tf32=tf32)


def cap_fraction(allowed_bytes: int, total_bytes: int) -> float:
    """Return the fraction of a device with which its allocator may reserve some bytes.

    The allocator cuts ``fraction * total`` to whole bytes. Without one byte more, rounding often leaves it one less
    than is allowed, and it refuses a segment that fills the cap exactly; the peak tells whether that byte was used.
    """
    return min((allowed_bytes + 1) / total_bytes, 1.0)


def answer(request: Figures) -> Answer:
    """Answer one request in this process, which has not used the GPU yet.

    Args:
        request: as for ``measure_context`` where ``context_bytes`` is None, else as for ``train_under_cap``.

    Raises:
        RuntimeError: if the steps fail for another reason than memory.
    """
    try:
        return measure_context(request) if request["context_bytes"] is None else train_under_cap(request)
    except torch.OutOfMemoryError:
        return "out of memory"
    except RuntimeError as error:
        if memory_ran_out(error):
            return "disguised"
        raise


def _spec_of(request: Figures) -> FitSpec:
    kind: type[MemorySpec] | type[StepSpec] = StepSpec if request["spec"]["kind"] == "step" else MemorySpec
    return kind(**request["spec"])


def measure_context(request: Figures) -> Figures:
    """Measure a process's memory outside its allocator after training steps of one image.

    Args:
        request: ``spec``, ``device``, and ``used_bytes``: the device's memory in use by all processes before this one
            had a context; None where NVML cannot tell.

    Returns:
        ``context_bytes``.

    Raises:
        click.ClickException: if others use the device and NVML does not tell which process this one is.
    """
    spec, device = _spec_of(request), torch.device(request["device"])
    take(device, tf32=spec.tf32)
    told = request["used_bytes"]
    before = _in_use(device) - BARE_CONTEXT_BYTES if told is None else told
    try:
        train(spec, 1, device, solver_steps=request.get("solver_steps"))
    except RuntimeError as error:
        if not memory_ran_out(error):
            raise  # else no batch fits, and what was loaded until then is measured
    held = process_bytes(device)
    if held is None:
        if len(found := listed_processes(device)) > 1:
            raise click.ClickException(
                f"{len(found)} processes are on {device} and NVML does not tell which is this one: the CUDA context "
                "can be measured only while nobody else uses it"
            )
        after = _in_use(device) if told is None else used_bytes(device)
        assert after is not None, "NVML told it before"
        held = after - before
    return {"context_bytes": held - torch.cuda.memory_reserved(device)}


def _in_use(device: torch.device) -> int:
    free, total = torch.cuda.mem_get_info(device)
    return total - free


def train_under_cap(request: Figures) -> Figures:
    """Run the training steps of one probe in this process.

    Args:
        request: ``spec``, ``batch``, ``cap_bytes``, ``context_bytes`` (to subtract from the cap), ``device`` and, where
            they are not the usual ones, ``steps`` and ``solver_steps``.

    Returns:
        The fields of a ``Probe`` that a run measures.

    Raises:
        torch.OutOfMemoryError: if the steps do not fit.
    """
    spec, device = _spec_of(request), torch.device(request["device"])
    take(device, tf32=spec.tf32)
    context = request["context_bytes"]
    allowed = request["cap_bytes"] - context
    if allowed <= 0:
        raise torch.OutOfMemoryError("the CUDA context alone exceeds the cap")
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(cap_fraction(allowed, total), device)
    train(
        spec,
        request["batch"],
        device,
        request.get("steps", PROBE_STEPS),
        solver_steps=request.get("solver_steps"),
    )
    held = process_bytes(device)
    if held is not None:
        context = held - torch.cuda.memory_reserved(device)
    statistics = torch.cuda.memory_stats(device)
    return {
        "peak_bytes": torch.cuda.max_memory_reserved(device) + context,
        "requested_bytes": int(statistics["requested_bytes.all.peak"]),
        "allocated_bytes": torch.cuda.max_memory_allocated(device),
        "context_bytes": context,
        "nvml_bytes": held,
        "retries": int(statistics["num_alloc_retries"]),
    }


@click.command(hidden=True)
@click.argument("request")
def main(request: str) -> int:
    """Answer a JSON request with figures as JSON; a request without ``context_bytes`` asks for these."""
    found = answer(json.loads(request))
    if isinstance(found, str):
        return OUT_OF_MEMORY_EXIT if found == "out of memory" else DISGUISED_EXIT
    click.echo(json.dumps(found))
    return 0


if __name__ == "__main__":
    run(main)
