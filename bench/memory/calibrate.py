"""``python -m bench.memory calibrate``: measures a GPU's memory use outside the allocator and inside kernels."""

import json
import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import pynvml
import torch
from torch import Tensor

from bench.cli import selection_options
from bench.cli.parameters import BATCH
from bench.memory.calibration import FOLDER, Calibration
from bench.memory.cells import TABLE3_TASKS
from bench.memory.cuda import claim_cuda, context_alone
from bench.memory.nvml import handle_of
from bench.memory.options import MemoryQuestion
from bench.memory.questions import memory_specs
from bench.memory.real_step import release
from bench.memory.rules import HANDLE
from bench.memory.simulate import trace_key
from bench.memory.steps import memory_ran_out, take
from bench.memory.trace import Affine
from bench.memory.traces import trace_of
from bench.records import MIB, MemorySpec
from bench.records.kernels import libraries
from bench.runner.progress import Reporter
from models import MODELS, POLICIES

BATCHES = (1, 2, 4, 6, 8, 10, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)

SPREAD_BATCHES = (2, 16, 64)
"""Enough where a library chooses the same kernels at every batch: bytes then lie on a line."""

HELP = f"""Measure this GPU's memory use beside tensors, and store it for simulations.

Measured: the CUDA context with its libraries, cuBLAS's workspace, and the workspace of every convolution, normalisation
and Fourier transform of the traced models, at {len(BATCHES)} batch sizes up to {BATCHES[-1]} unless --batch names
others. Needs a CUDA device.

\b
Examples:
  python -m bench.memory calibrate
  python -m bench.memory calibrate --batch 2 --batch 16 --batch 64
  python -m bench.memory calibrate --task ct --model my_package.my_module:MyModel
"""


@click.command("calibrate", help=HELP)
@selection_options
@click.option("--batch", "batches", type=BATCH, multiple=True, help="Batch size; repeatable.")
@click.option("--device", default="cuda", show_default=True, help="cuda, cuda:1, ...")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=FOLDER,
    show_default=True,
    help="Folder of the calibrations.",
)
def calibrate(tasks: Sequence[str], models: Sequence[str], batches: Sequence[int], device: str, output: Path) -> None:
    """Calibrate from the command line."""
    place = claim_cuda(device, "a calibration measures")
    question = MemoryQuestion(precisions=("fp32", "bf16"))
    specs = memory_specs(tasks or TABLE3_TASKS, models or tuple(MODELS), POLICIES, (0,), "cuda", question)
    context = context_alone(specs[0], place)  # before this process has one: nobody else is there
    take(place)
    found = Calibration(
        context_bytes=context,
        handle_bytes=handle_bytes(place),
        calls=measure_calls(library_calls(specs), place, sorted(set(batches)) or BATCHES),
        **versions(place),
    )
    click.echo(f"stored {found.save(output)}: {len(found.calls)} calls, context {context / MIB:.0f} MiB")


def library_calls(specs: Iterable[MemorySpec]) -> list[str]:
    """Return every distinct call of the questions' traces in which a library takes memory of its own, sorted.

    Raises:
        TraceError: if a model cannot be traced.
    """
    calls = {request.call for spec in specs for request in trace_of(trace_key(spec)).requests}
    return sorted(call for call in calls if call and HANDLE not in call)


def measure_calls(
    calls: Sequence[str], device: torch.device, batches: Sequence[int] = BATCHES
) -> dict[str, tuple[tuple[int, int], ...]]:
    """Return (batch, bytes) of every call that fits on the device at all.

    Args:
        calls: as in ``Request.call``.
        device: a CUDA device.
        batches: rising.
    """
    found = {}
    with Reporter(len(calls)).live() as reporter:
        for call in calls:
            reporter.start(json.loads(call)[0])
            if points := measure_call(call, device, batches):
                found[call] = points
            reporter.finish(f"{max((size for _, size in points), default=0) / MIB:.1f} MiB at most")
    return found


def measure_call(call: str, device: torch.device, batches: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Return (batch, bytes) of a call, up to the first batch that does not fit on the device.

    Args:
        call: as in ``Request.call``.
        device: a CUDA device.
        batches: rising.
    """
    points = []
    for batch in batches:
        try:
            points.append((batch, _hidden_bytes(call, batch, device)))
        except RuntimeError as error:
            if not memory_ran_out(error):
                raise
            break
    return tuple(points)


def handle_bytes(device: torch.device) -> int:
    """Measure the workspace that cuBLAS's handle keeps after its first product."""
    release(device)
    matrix = torch.rand(64, 64, device=device)
    before = torch.cuda.memory_allocated(device)
    product = matrix @ matrix
    torch.cuda.synchronize(device)
    return torch.cuda.memory_allocated(device) - before - _rounded(product)


def arguments_at(call: str, batch: int, device: torch.device) -> tuple[Any, list[Any]]:
    """Return a call's operation and arguments at a batch size, tensors random.

    Args:
        call: as in ``Request.call``.
        batch: images.
        device: of the tensors.
    """
    name, arguments = json.loads(call)
    operation: Any = torch.ops
    for part in name.split("."):
        operation = getattr(operation, part)
    return operation, [_argument(argument, batch, device) for argument in arguments]


def _argument(value: Any, batch: int, device: torch.device) -> Any:
    if isinstance(value, list):
        return [_argument(part, batch, device) for part in value]
    if not isinstance(value, dict):
        return value
    (kind, content), *_ = value.items()
    if kind == "batch":
        return Affine(*content).at(batch)
    shape = [_argument(part, batch, device) for part in content]
    dtype = getattr(torch, kind)
    if math.prod(shape) and not (dtype.is_floating_point or dtype.is_complex):
        return torch.zeros(shape, dtype=dtype, device=device)
    return torch.rand(shape, dtype=dtype, device=device)


@torch.no_grad()
def _hidden_bytes(call: str, batch: int, device: torch.device) -> int:
    operation, arguments = arguments_at(call, batch, device)
    if operation is torch.ops.aten.native_batch_norm.default:
        # What torch calls on a GPU, where cuDNN normalises; the trace saw the CPU's.
        operation, arguments = torch.ops.aten._batch_norm_impl_index.default, [*arguments, True]
    try:
        for _ in range(2):  # the first call may load kernels and keep workspaces
            torch.cuda.synchronize(device)
            torch.cuda.reset_peak_memory_stats(device)
            results = operation(*arguments)
            torch.cuda.synchronize(device)
            hidden = torch.cuda.max_memory_allocated(device) - torch.cuda.memory_allocated(device)
            del results
        return int(hidden)
    finally:
        del arguments
        torch.cuda.empty_cache()


def _rounded(tensor: Tensor) -> int:
    return -(-tensor.untyped_storage().nbytes() // 512) * 512


def versions(device: torch.device) -> dict[str, Any]:
    """Return a GPU and what decides about its kernels, as ``Calibration`` holds them."""
    driver = "unknown"
    with suppress(click.ClickException), handle_of(device):
        driver = pynvml.nvmlSystemGetDriverVersion()
    return {
        "gpu": torch.cuda.get_device_name(device),
        "torch": torch.__version__.partition("+")[0],
        "driver": str(driver),
        **libraries(),
        "total_bytes": torch.cuda.get_device_properties(device).total_memory,
    }
