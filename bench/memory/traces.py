"""Traces of models on tasks: made once and kept on disk."""

import hashlib
import json
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch

from bench.cli.source_digest import code_of, our_code
from bench.cli.user_model import resolve_model
from bench.memory.convolutions import pinned, with_tf32
from bench.memory.our_step import ShapeOperator, trace_training
from bench.memory.trace import Affine, Request, Trace
from bench.memory.user_step import trace_user_step
from bench.records import Policy, Precision
from bench.tasks import TASKS
from models import ReconstructionModel, parameter_counts
from operators.disk_cache import Arrays, cached_arrays, discard_arrays

SMALL = (48, 48)
CODE = ("bench.memory.our_step", "bench.tasks", "models", "operators")
"""What a trace depends on, with all that they import, beside torch and a user's own model."""


class TraceKey(NamedTuple):
    """What is traced; see ``bench.records.question.MemorySpec``."""

    task: str
    model: str
    image_shape: tuple[int, int]
    policy: Policy
    precision: Precision = "fp32"
    tf32: bool = False
    channels_last: bool = False


class StepKey(NamedTuple):
    """What is traced of a user's own step; see ``bench.records.question.StepSpec``."""

    step: str
    code: str
    precision: Precision = "fp32"
    tf32: bool = False


AnyKey = TraceKey | StepKey


@lru_cache(maxsize=64)
def trace_of(key: AnyKey) -> Trace:
    """Return a trace, from this process's memory or the cache on disk where it is there.

    Raises:
        TraceError: if the model cannot be traced.
    """
    return _unpacked(_arrays(key))


def forget_traces(keys: Iterable[AnyKey]) -> None:
    """Delete some traces from this process and from the disk cache, so that they are made again."""
    for key in keys:
        discard_arrays(_digest(key))
    trace_of.cache_clear()


def _arrays(key: AnyKey) -> Arrays:
    def build() -> Arrays:
        return _packed(_traced(key))

    return cached_arrays(_digest(key), build)


def _traced(key: AnyKey) -> Trace:
    workspaces = with_tf32 if key.tf32 else pinned
    if isinstance(key, StepKey):
        return trace_user_step(key.step, key.precision, workspaces)
    return trace_training(
        resolve_model(key.model),
        shape_operator(key.task, key.image_shape),
        key.policy,
        key.precision,
        workspaces=workspaces,
        channels_last=key.channels_last,
    )


@lru_cache(maxsize=64)
def shape_operator(task: str, image_shape: tuple[int, int]) -> ShapeOperator:
    """Return a stand-in with the shapes of a task's operator at an image size."""
    operator = TASKS[task].operator_at(image_shape, torch.device("cpu"))
    small = TASKS[task].operator_at(SMALL, torch.device("cpu"))  # tells the dtype without a large matrix
    y = small(torch.zeros(1, *small.image_shape))
    return ShapeOperator(operator.image_shape, operator.data_shape, y.dtype, operator.frozen_values)


def count_parameters(task: str, model: str, image_shape: tuple[int, int]) -> tuple[int, int]:
    """Return Table 3's parameter count of a model on a task, and its trainable parameters alone.

    Raises:
        TypeError: if what was made is none of our models.
    """
    built = resolve_model(model)(channels=TASKS[task].channels)
    if not isinstance(built, ReconstructionModel):
        raise TypeError(f"{model!r} made a {type(built).__name__}, which is no models.ReconstructionModel")
    return parameter_counts(built, shape_operator(task, image_shape))


def _digest(key: AnyKey) -> str:
    code = key.code if isinstance(key, StepKey) else code_of(key.model)
    asked = key, torch.__version__, our_code(*CODE), code
    return hashlib.sha256(repr(asked).encode()).hexdigest()


def _packed(trace: Trace) -> Arrays:
    words = sorted({word for request in trace.requests for word in _words(request)})
    place = {word: index for index, word in enumerate(words)}
    rows = [
        (
            *request.size,
            *request.low,
            *request.expected,
            place[request.phase],
            place[request.layer],
            place[request.call],
        )
        for request in trace.requests
    ]
    return {
        "requests": np.array(rows, dtype=np.int64).reshape(-1, 9),
        "events": np.array(trace.events, dtype=np.int64).reshape(-1, 2),
        "words": np.frombuffer(json.dumps(words).encode(), dtype=np.uint8),
    }


def _words(request: Request) -> tuple[str, str, str]:
    return request.phase, request.layer, request.call


def _unpacked(arrays: Arrays) -> Trace:
    words = json.loads(arrays["words"].tobytes())
    requests = tuple(
        Request(Affine(*row[:2]), Affine(*row[2:4]), Affine(*row[4:6]), *(words[place] for place in row[6:]))
        for row in arrays["requests"].tolist()
    )
    return Trace(requests, tuple((number, bool(birth)) for number, birth in arrays["events"].tolist()))
