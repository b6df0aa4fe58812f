"""Real training steps on a GPU, in a process of their own: ``cuda.py`` starts it with a request and reads its answer.

What the process holds beside its allocator is NVML's figure of it less what is reserved, once the steps have loaded
every kernel. Where NVML cannot tell the process from others, it is what was measured alone and came with the request.
"""

import json
from dataclasses import replace
from typing import Any, Literal

import click
import torch

from bench.cli import resolve_model, run
from bench.memory.nvml import listed_processes, process_bytes, used_bytes
from bench.record import MemorySpec
from bench.sizes import MIB
from bench.tasks import TASKS
from bench.training.step import make_optimizer, training_step
from models import EquilibriumModel

PROBE_STEPS = 3
SHORT_SOLVES = 7
"""Solver steps after which a solve takes no more memory: the history, five iterates, is allocated whole at the start
and begun anew after the fifth. DEQ4IP's solves, 50 steps both ways at first, then take a seventh of the time."""
BARE_CONTEXT_BYTES = 300 * MIB
"""What is gone before the first call of mem_get_info; NVIDIA's smallest."""
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
"""Errors, in lower case, that libraries raise when a workspace cannot be had, and for other reasons too."""
Figures = dict[str, Any]
Answer = Figures | Literal["out of memory", "disguised"]
"""What the steps of one request measured, or how memory ran out."""
FLAGS: dict[str, bool | str] = {"benchmark": False, "deterministic": True, "tf32": False}
"""Neither benchmarks nor TF32 decide which kernels run, and with them which workspaces."""


def memory_ran_out(error: RuntimeError) -> bool:
    """Say whether an error means that memory ran out, or may mean it in a library's words."""
    return isinstance(error, torch.OutOfMemoryError) or any(sign in str(error).lower() for sign in DISGUISED)


def pin_flags(device: torch.device) -> None:
    """Make a device the current one, which gives the process its context, and set ``FLAGS``.

    Args:
        device: a CUDA device with its number.
    """
    torch.cuda.set_device(device)
    torch.backends.cudnn.benchmark = bool(FLAGS["benchmark"])
    torch.backends.cudnn.deterministic = bool(FLAGS["deterministic"])
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = bool(FLAGS["tf32"])


def libraries() -> dict[str, Any]:
    """Return what decides about kernels beside GPU and torch, as ``Provenance`` and ``Calibration`` hold it."""
    return {
        "cuda": str(torch.version.cuda),
        "cudnn": str(torch.backends.cudnn.version()),
        "flags": dict(FLAGS),
    }


def release(device: torch.device) -> None:
    """Give everything that is not in use back to the device, cuBLAS's workspaces too; a CPU keeps nothing."""
    if device.type != "cuda":
        return
    torch.cuda.synchronize(device)
    torch._C._cuda_clearCublasWorkspaces()
    torch.cuda.empty_cache()


def cap_fraction(allowed_bytes: int, total_bytes: int) -> float:
    """Return the fraction of a device with which its allocator may reserve some bytes.

    The allocator cuts ``fraction * total`` to whole bytes. Without one byte more, rounding often leaves it one less
    than is allowed, and it refuses a segment that fills the cap exactly; whether that byte was used, the peak tells.
    """
    return min((allowed_bytes + 1) / total_bytes, 1.0)


def answer(request: Figures) -> Answer:
    """Answer one request in this process, which has not used the GPU yet.

    Args:
        request: of ``measure_context`` where ``context_bytes`` is None, else of ``train_under_cap``.

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


def measure_context(request: Figures) -> Figures:
    """Measure what a process holds beside its allocator after training steps of one image.

    Args:
        request: ``spec``, ``device``, and ``used_bytes``: the device's memory in use, by anybody, before this process
            had a context; None where NVML cannot tell.

    Returns:
        ``context_bytes``.

    Raises:
        click.ClickException: if others use the device and NVML does not tell which process this one is.
    """
    spec, device = MemorySpec(**request["spec"]), torch.device(request["device"])
    pin_flags(device)
    told = request["used_bytes"]
    before = _in_use(device) - BARE_CONTEXT_BYTES if told is None else told
    try:
        train(spec, 1, device, solver_steps=request.get("solver_steps"))
    except RuntimeError as error:
        if not memory_ran_out(error):
            raise  # else no batch fits, and what was loaded until then is all there is to measure
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
        request: ``spec``, ``batch``, ``cap_bytes``, ``context_bytes`` (to take off the cap), ``device`` and, where
            they are not the usual ones, ``steps`` and ``solver_steps``.

    Returns:
        The fields of a ``Probe`` that a run measures.

    Raises:
        torch.OutOfMemoryError: if the steps do not fit.
    """
    spec, device = MemorySpec(**request["spec"]), torch.device(request["device"])
    pin_flags(device)
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


def train(
    spec: MemorySpec,
    batch: int,
    device: torch.device,
    steps: int = PROBE_STEPS,
    *,
    reset_peaks: bool = True,
    solver_steps: int | None = None,
) -> None:
    """Train from scratch; peaks afterwards are those of the steps, model, images and optimiser included.

    Args:
        spec: what trains.
        batch: images a step.
        device: a CUDA device; on a CPU there are no peaks.
        steps: how many.
        reset_peaks: False leaves peaks what they are since the process began, finding the norm included.
        solver_steps: the most that a fixed-point solve takes, None for the model's own; see ``SHORT_SOLVES``.
    """
    task = TASKS[spec.task]
    operator = task.operator_at(spec.image_shape, device)
    operator.norm()
    model = resolve_model(spec.model)(channels=task.channels).to(device).train()
    model.policy = spec.policy
    if solver_steps is not None and isinstance(model, EquilibriumModel):
        model.solver = replace(model.solver, max_steps=min(model.solver.max_steps, solver_steps))
    truth = torch.rand(batch, *operator.image_shape, device=device)
    with torch.no_grad():
        y = operator(truth)
    release(device)  # what finding the norm took is no part of a training step
    if reset_peaks:
        torch.cuda.reset_peak_memory_stats(device)
    optimizer = make_optimizer(model)
    for _ in range(steps):
        training_step(model, optimizer, operator, y, truth, "final", spec.precision)
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@click.command(hidden=True)
@click.argument("request")
def main(request: str) -> int:
    """Answer one request, which is JSON, by figures as JSON; without ``context_bytes`` that is what it asks for."""
    found = answer(json.loads(request))
    if isinstance(found, str):
        return OUT_OF_MEMORY_EXIT if found == "out of memory" else DISGUISED_EXIT
    click.echo(json.dumps(found))
    return 0


if __name__ == "__main__":
    run(main)
