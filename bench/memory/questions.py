"""The questions of the memory commands: one per task, model, policy, precision and cap."""

from collections.abc import Sequence
from itertools import product
from typing import Literal

from bench.cli.source_digest import code_of
from bench.memory.options import TABLE3_QUESTION, MemoryQuestion
from bench.records import MemorySpec, Policy
from bench.tasks import TASKS


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
