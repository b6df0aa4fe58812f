"""A real training step on a CPU under torch's profiler: every request to torch's allocator."""

import gc
import json
import os
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from bench.cli.user_model import resolve_model
from bench.memory.our_step import bound_solver
from bench.memory.trace import STEPS
from bench.records import CheckSpec
from bench.tasks import TASKS
from bench.training.step import make_optimizer, training_step

# The profiler's library tells stderr when it starts and stops; it reads this the first time that it does.
os.environ.setdefault("KINETO_LOG_LEVEL", "99")
FLOAT_BYTES = 4


@dataclass(frozen=True)
class Profiled:
    """What one model's training steps took.

    Attributes:
        peak_bytes: most that was alive at once, weights, Adam's state and images included.
        map_bytes: of the largest feature map that a convolution reads or writes; 0 without convolutions.
        weight_bytes: of the largest filter.
    """

    peak_bytes: int
    map_bytes: int
    weight_bytes: int


def profile_steps(spec: CheckSpec) -> Profiled:
    """Train as a trace does, for as many steps with as many solver steps, on random images and their measurements.

    The operator and its tables are built before, since no trace contains them; memory for applying it counts.

    Args:
        spec: what trains.
    """
    task, device = TASKS[spec.task], torch.device("cpu")
    operator = task.operator_at(spec.image_shape, device)
    operator.norm()
    images = torch.rand(spec.batch, *operator.image_shape)
    with torch.no_grad():
        measurements = operator(images)
        operator.adjoint(measurements)
    gc.collect()
    gc.disable()  # storages are released by reference count alone, as in a trace
    try:
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
            model = resolve_model(spec.model)(channels=task.channels)
            bound_solver(model, spec.policy)
            optimizer = make_optimizer(model)
            truth, y = images.clone(), measurements.clone()
            for _ in range(STEPS):
                training_step(model, optimizer, operator, y, truth, "final")
    finally:
        gc.enable()
    height, width = spec.image_shape
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    channels = max((max(layer.in_channels, layer.out_channels) for layer in layers), default=0)
    return Profiled(
        peak_bytes=peak_bytes(profiler),
        map_bytes=spec.batch * channels * height * width * FLOAT_BYTES,
        weight_bytes=max((layer.weight.nbytes for layer in layers), default=0),
    )


def peak_bytes(profiler: profile) -> int:
    """Return the most bytes alive at once, of those allocated under a profiler with ``profile_memory``.

    The profiler's own totals continue from one profile of a process to the next: its events are summed here.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        events = json.loads(path.read_text())["traceEvents"]
    sizes = sorted((event["ts"], event["args"]["Bytes"]) for event in events if event.get("name") == "[memory]")
    live = peak = 0
    for _, size in sizes:  # negative where memory is released
        live += size
        peak = max(peak, live)
    return peak
