"""Figures that are the same on every machine: counts, simulated batches, layouts, identities."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch

from bench.memory.cells import TABLE3_CAPS_BYTES, TABLE3_TASKS
from bench.memory.questions import memory_specs
from bench.memory.simulate import parameters_of, simulate, trace_key
from bench.memory.traces import AnyKey, shape_operator
from bench.records import GIB, CallsSpec, CallsValues, FitSpec, MemorySpec, MemoryValues, Policy, StepValues, cell_id
from bench.records.recipe import recipe_for
from bench.records.store import ResultStore, StoreError
from bench.regression.baseline import Figures
from bench.regression.schema import layout
from bench.runner.pool import in_processes
from bench.tasks import PAPER_TASKS, TASKS
from bench.tasks.scales import SCALES
from models import MODELS, POLICIES, parameter_counts

COUNTED_SHAPE = (16, 16)
STEPS_BEFORE_COUNT = 2
DIGITS = 12

Count = Callable[[CallsSpec, torch.device], CallsValues]
"""Counts applications of the operator; ``bench.costs.calls.count_calls``."""


def measure_figures(count: Count) -> Figures:
    """Return all figures, by group.

    Args:
        count: counts applications of the operator.
    """
    return {
        "parameters": parameters(),
        "operator calls": operator_calls(count),
        "simulated batches": simulated_batches(),
        "recipes": recipes(),
        "layout of records": layout(),
    }


def parameters(tasks: Iterable[str] = TASKS) -> dict[str, str]:
    """Return Table 3's parameter counts, and the trainable parameters alone, of every model.

    Args:
        tasks: keys of ``TASKS``.
    """
    found = {}
    for task, model in _cells(tasks):
        built = MODELS[model](channels=TASKS[task].channels)
        total, trainable = parameter_counts(built, shape_operator(task, TASKS[task].image_shape))
        found[f"{task} {model}"] = f"{total}, {trainable} of them trainable"
    return found


def operator_calls(count: Count, tasks: Iterable[str] = PAPER_TASKS) -> dict[str, str]:
    """Return applications of the operator and its adjoint per training step and per reconstruction.

    Args:
        count: counts them.
        tasks: keys of ``TASKS``.
    """
    found = {}
    for task, model in _cells(tasks):
        spec = CallsSpec(
            task=task,
            model=model,
            image_shape=COUNTED_SHAPE,
            policy="paper",
            batch=1,
            training_steps=STEPS_BEFORE_COUNT,
        )
        values = count(spec, torch.device("cpu"))
        for name in ("training_step", "reconstruction"):
            for kind, calls in getattr(values, name).items():
                found[f"{task} {model} {name} {kind}"] = f"{calls:g}"
    return found


def simulated_batches(
    tasks: Iterable[str] = TABLE3_TASKS, policies: Iterable[Policy] = POLICIES, caps: Iterable[int] = TABLE3_CAPS_BYTES
) -> dict[str, str]:
    """Return Table 3's largest batches and the bytes that they take, simulated by one process per core.

    Args:
        tasks: keys of ``TASKS``.
        policies: ``paper``, ``recompute``.
        caps: bytes.
    """
    groups: dict[AnyKey, list[FitSpec]] = {}
    for spec in memory_specs(tuple(tasks), tuple(MODELS), tuple(policies), tuple(caps), "simulate"):
        groups.setdefault(trace_key(spec), []).append(spec)
    work = [tuple(specs) for specs in groups.values()]
    done = in_processes(_simulated, work)
    found = {}
    for group in work:
        answers = done[group] if group in done else _simulated(group)
        for asked, values in answers.items():
            assert isinstance(asked, MemorySpec)
            assert isinstance(values, MemoryValues)
            what = f"{asked.task} {asked.model} {asked.policy} {asked.cap_bytes / GIB:g} GiB"
            found[what] = f"{values.max_batch} ({values.sure_batch} to {values.possible_batch})"
    return found


def _simulated(specs: tuple[FitSpec, ...]) -> dict[FitSpec, MemoryValues | StepValues]:
    """Answer questions about one trace, which differ in their caps only."""
    parameters = parameters_of(specs[0])
    return {spec: simulate(spec, parameters) for spec in specs}


def recipes() -> dict[str, str]:
    """Return a digest of every cell's training recipe, at every scale."""
    return {
        f"{scale} {task} {model}": cell_id(recipe_for(task, scale, model))[:DIGITS]
        for scale in SCALES
        for task, model in _cells(PAPER_TASKS)
    }


def identities(results: Path) -> dict[str, tuple[str, str]]:
    """Compare the file names of stored records with what their contents say.

    Args:
        results: the results folder.

    Returns:
        File -> (its name, the name of its content); the same where all is well.
    """
    store, found = ResultStore(results), {}
    for path in sorted(results.glob("*/*.json")):
        try:
            record = store.read(path)
            name = store.path_of(record.spec, record.provenance).name
        except (FileNotFoundError, StoreError) as error:
            name = f"unreadable: {error}"
        found[f"{path.parent.name}/{path.name}"] = (path.name, name)
    return found


def _cells(tasks: Iterable[str]) -> Iterator[tuple[str, str]]:
    return ((task, model) for task in tasks for model in MODELS)
