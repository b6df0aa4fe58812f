"""Numbers whose last digits depend on the processor: short trainings, and the PSNR of stored weights."""

import hashlib
import statistics
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from bench.evaluation.grading import evaluate
from bench.records import AccuracySpec
from bench.records.environment import device_name, number_flags
from bench.records.recipe import recipe_for
from bench.regression.baseline import Environment, Measured
from bench.tasks import PAPER_TASKS, TASKS
from bench.training.run import TrainingRun
from bench.training.step import placed
from bench.training.trainer import fit
from models import MODELS, ReconstructionModel

TRAINED_SHAPE = (16, 16)
TRAINED_STEPS = 3
GRADED_SHAPE = (48, 48)
GRADED_IMAGES = 2
DIGITS = 16
ROUNDING = ("ATEN_", "DNNL_", "MKL_", "ONEDNN_")
"""How the names of environment variables begin that choose kernels; threads are told apart."""

CPU = torch.device("cpu")
Load = Callable[[Path], tuple[AccuracySpec, ReconstructionModel]]
"""Builds the model that a file holds the weights of; ``bench.training.published.load_model``."""


def environment() -> Environment:
    """Describe what rounds this process's numbers."""
    return Environment(
        processor=f"{device_name(CPU)} ({_processor_digest()})",
        capability=torch.backends.cpu.get_cpu_capability(),
        torch=torch.__version__.partition("+")[0],
        threads=torch.get_num_threads(),
        flags={name: text for name, text in number_flags().items() if name.startswith(ROUNDING)},
    )


def measure_trainings(tasks: Iterable[str] = PAPER_TASKS) -> Measured:
    """Train every model for a few steps of the scale ``quick``, on small generated images.

    Args:
        tasks: keys of ``TASKS``.
    """
    losses, weights = {}, {}
    for task in tasks:
        images = TASKS[task].load_split(None, "train", image_shape=TRAINED_SHAPE, count=4, seed=0)
        for name in MODELS:
            torch.manual_seed(0)
            model = placed(MODELS[name](channels=TASKS[task].channels), CPU)
            recipe = recipe_for(task, "quick", name, steps=TRAINED_STEPS)
            log = fit(
                TrainingRun(model=model, task=TASKS[task], images=images, image_shape=TRAINED_SHAPE, recipe=recipe)
            )
            losses[f"{task} {name}"] = tuple(log.losses)
            weights[f"{task} {name}"] = _digest(model)
    return Measured(environment=environment(), values=losses, weights=weights)


def measure_psnr(folder: Path, load: Load) -> Measured:
    """Grade stored weights on small generated images, which are the same everywhere.

    Args:
        folder: of the weights.
        load: builds a file's model.
    """
    found = {}
    for path in sorted(folder.glob("*.safetensors")):
        spec, model = load(path)
        found[path.stem] = (mean_psnr_of(spec.task, model),)
    return Measured(environment=environment(), values=found)


def mean_psnr_of(task: str, model: ReconstructionModel) -> float:
    """Return a model's mean PSNR in dB."""
    images = TASKS[task].load_split(None, "test", image_shape=GRADED_SHAPE, count=GRADED_IMAGES, seed=0)
    operator = TASKS[task].operator_at(GRADED_SHAPE, CPU)
    return statistics.mean(item.psnr_db for item in evaluate(placed(model, CPU), operator, TASKS[task], images).items)


def _digest(model: torch.nn.Module) -> str:
    found = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        found.update(name.encode() + tensor.detach().contiguous().numpy().tobytes())
    return found.hexdigest()[:DIGITS]


def _processor_digest() -> str:
    """Tell processors of one name apart: instruction sets and caches decide about kernels and their blocks."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    wanted = ("cpu family", "model", "stepping", "cache size", "flags")
    first = {line.split(":")[0].strip(): line for line in reversed(lines) if ":" in line}
    text = "\n".join(first.get(name, "") for name in wanted)
    return hashlib.sha256(text.encode()).hexdigest()[:8]
