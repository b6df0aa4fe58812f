"""The questions of the memory commands: one per task, model, policy, precision and cap."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

from bench.cli.source_digest import code_of
from bench.records import MemorySpec, Policy, Precision
from bench.tasks import TASKS


@dataclass(frozen=True, kw_only=True)
class MemoryQuestion:
    """What a sweep asks beside its tasks, models, policies and caps; see ``bench.records.question.MemorySpec``.

    Attributes:
        precisions: of the training step.
        image_shape: None takes each task's own.
        expandable_segments: the allocator's setting.
        calibration: whose constants a simulation uses.
        tf32: whether float32 convolutions and products may be computed in TensorFloat-32.
        channels_last: whether the network lies in memory with the channels of a pixel side by side.
    """

    precisions: Sequence[Precision] = ("fp32",)
    image_shape: tuple[int, int] | None = None
    expandable_segments: bool = False
    calibration: str | None = None
    tf32: bool = False
    channels_last: bool = False


TABLE3_QUESTION = MemoryQuestion()


def memory_specs(
    tasks: Sequence[str],
    models: Sequence[str],
    policies: Sequence[Policy],
    caps: Sequence[int],
    backend: Literal["simulate", "cuda"],
    question: MemoryQuestion = TABLE3_QUESTION,
) -> list[MemorySpec]:
    """Return one question per task, model, policy, precision and cap, in that order.

    Args:
        tasks: keys of ``TASKS``.
        models: keys of ``MODELS`` or ``package.module:Model``.
        policies: ``paper``, ``recompute``.
        caps: bytes.
        backend: who answers.
        question: the rest.
    """
    return [
        MemorySpec(
            task=task,
            model=model,
            code=code_of(model),
            image_shape=question.image_shape or TASKS[task].image_shape,
            policy=policy,
            precision=precision,
            cap_bytes=cap,
            backend=backend,
            expandable_segments=question.expandable_segments,
            calibration=question.calibration,
            tf32=question.tf32,
            channels_last=question.channels_last,
        )
        for task, model, policy, precision, cap in product(tasks, models, policies, question.precisions, caps)
    ]
