"""Traces of models on tasks: made once and kept on disk."""

import hashlib
import json
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from bench.cli import resolve_model
from bench.memory.trace import Affine, Request, ShapeOperator, Trace, trace_training
from bench.own_code import code_of
from bench.record import Policy, Precision
from bench.tasks import TASKS
from models import parameter_counts
from operators.disk_cache import Arrays, cached_arrays

SMALL = (48, 48)
ROOT = Path(__file__).resolve().parents[2]
CODE = ("models/*.py", "operators/*.py", "bench/train.py", "bench/tasks/*.py", "bench/memory/*.py")
"""What a trace depends on, beside torch and a user's own model."""


class TraceKey(NamedTuple):
    """What is traced; see ``bench.record.MemorySpec``."""

    task: str
    model: str
    image_shape: tuple[int, int]
    policy: Policy
    precision: Precision = "fp32"


@lru_cache(maxsize=64)
def trace_of(key: TraceKey) -> Trace:
    """Return a trace, from this process's memory or the cache on disk where it is there.

    Raises:
        TraceError: if the model cannot be traced.
    """
    return _unpacked(_arrays(key))


def _arrays(key: TraceKey) -> Arrays:
    def build() -> Arrays:
        shapes = shape_operator(key.task, key.image_shape)
        return _packed(trace_training(resolve_model(key.model), shapes, key.policy, key.precision))

    return cached_arrays(_digest(key), build)


@lru_cache(maxsize=64)
def shape_operator(task: str, image_shape: tuple[int, int]) -> ShapeOperator:
    """Return a stand-in with the shapes of a task's operator at an image size."""
    operator = TASKS[task].operator_at(image_shape, torch.device("cpu"))
    small = TASKS[task].operator_at(SMALL, torch.device("cpu"))  # tells the dtype without a large matrix
    y = small(torch.zeros(1, *small.image_shape))
    return ShapeOperator(operator.image_shape, operator.data_shape, y.dtype, operator.frozen_values)


def count_parameters(task: str, model: str, image_shape: tuple[int, int]) -> tuple[int, int]:
    """Return Table 3's parameter count of a model on a task, and its trainable parameters alone."""
    built = resolve_model(model)(channels=TASKS[task].channels)
    return parameter_counts(built, shape_operator(task, image_shape))


def _digest(key: TraceKey) -> str:
    return hashlib.sha256(repr((key, torch.__version__, _code(), code_of(key.model))).encode()).hexdigest()


@cache
def _code() -> str:
    files = (file for pattern in CODE for file in sorted(ROOT.glob(pattern)))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _packed(trace: Trace) -> Arrays:
    words = sorted({word for request in trace.requests for word in (request.phase, request.layer, request.call)})
    place = {word: index for index, word in enumerate(words)}
    rows = [
        (*request.size, *request.low, place[request.phase], place[request.layer], place[request.call])
        for request in trace.requests
    ]
    return {
        "requests": np.array(rows, dtype=np.int64).reshape(-1, 7),
        "events": np.array(trace.events, dtype=np.int64).reshape(-1, 2),
        "words": np.frombuffer(json.dumps(words).encode(), dtype=np.uint8),
    }


def _unpacked(arrays: Arrays) -> Trace:
    words = json.loads(arrays["words"].tobytes())
    requests = tuple(
        Request(Affine(base, slope), Affine(low, rise), words[phase], words[layer], words[call])
        for base, slope, low, rise, phase, layer, call in arrays["requests"].tolist()
    )
    return Trace(requests, tuple((number, bool(birth)) for number, birth in arrays["events"].tolist()))
