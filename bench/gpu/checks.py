"""Part 1: installed versions, every model's training step against the CPU's, and the Radon transform."""

import copy
import platform
import statistics
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from bench.evaluation import clock
from bench.gpu.site import Work
from bench.memory.real_step import SHORT_SOLVES
from bench.memory.steps import take
from bench.records import Provenance
from bench.records.environment import provenance
from bench.tasks import TASKS
from bench.training.step import compute_gradients, make_optimizer
from models import MODELS, EquilibriumModel, ReconstructionModel
from operators import ForwardOperator

COMPARED_SHAPE = (48, 48)
BATCH = 2
OFF_ZERO = 0.005
LARGEST_DIFFERENCE = 0.1
"""Relative, between the gradients of the CPU and of the GPU: a wrong kernel makes it about 1, and rounding in float32
is amplified by eight stages of BatchNorm."""
LARGEST_MISMATCH = 1e-4
"""Of the dot test, relative to the norms, in float32."""
RADON_BATCHES = (1, 2, 4, 8)
"""Every number of images that can share work in the Triton kernels."""
RADON_REPEATS = 20


def check(work: Work) -> None:
    """Measure the figures of part 1."""
    work.once("versions", partial(versions, work))
    if work.device.type == "cuda":
        take(work.device)
    first, *others = work.site.tasks
    for model in MODELS:
        work.once(f"step {model} {first}", partial(checked_step, work, model, first), 3)
        work.once(f"gradients {model} {first}", partial(compared, work, model, first), 3)
    work.once("radon", partial(radon, work), 5)
    for task in others:
        for model in MODELS:
            work.once(f"step {model} {task}", partial(checked_step, work, model, task), 3)
        work.once(f"gradients luser-dw {task}", partial(compared, work, "luser-dw", task), 3)


def versions(work: Work) -> dict[str, Any]:
    """Return what is installed; unknown versions are left out."""
    where: Provenance = provenance(work.device)
    told: dict[str, Callable[[], Any]] = {
        "python": platform.python_version,
        "torch": lambda: torch.__version__,
        "cuda": lambda: torch.version.cuda,
        "cudnn": torch.backends.cudnn.version,
        "gpu": lambda: where.device,
        "capability": lambda: torch.cuda.get_device_capability(work.device),
        "total_bytes": lambda: torch.cuda.get_device_properties(work.device).total_memory,
        "triton": lambda: sys.modules["triton"].__version__,
        "commit": lambda: where.commit,
        "dirty": lambda: where.dirty,
        **({} if work.site.rehearse else _driver(work.device)),
    }
    found = {}
    for name, tell in told.items():
        with suppress(Exception):
            found[name] = tell()
    return found


def _driver(device: torch.device) -> dict[str, Callable[[], Any]]:
    import pynvml

    from bench.memory.nvml import handle_of, tells_processes

    def asked(question: Callable[[], Any]) -> Callable[[], Any]:
        def ask() -> str:
            with handle_of(device):
                return str(question())

        return ask

    return {
        "driver": asked(lambda: pynvml.nvmlSystemGetDriverVersion()),
        "nvml": asked(lambda: pynvml.nvmlSystemGetNVMLVersion()),
        "nvml_tells_processes": lambda: tells_processes(device),
    }


def checked_step(work: Work, name: str, task: str) -> dict[str, Any]:
    """Run one training step, and raise ``ArithmeticError`` unless it is sound."""
    model, operator, y, truth = _problem(name, task, work.site.image_shape(task), work.device)
    optimizer = make_optimizer(model)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    started = clock.now_s(work.device)
    report = compute_gradients(model, operator, y, truth, "final")
    optimizer.step()
    seconds = clock.now_s(work.device) - started
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    moved = sum(not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))
    if not report.finite or not all(bool(torch.isfinite(gradient).all()) for gradient in gradients):
        raise ArithmeticError(f"loss {float(report.loss)}, gradient norm {float(report.norm)}: not finite")
    if moved < len(before):
        raise ArithmeticError(f"{moved} of {len(before)} parameters moved")
    return {"loss": float(report.loss), "norm": float(report.norm), "moved": moved, "first_step_s": round(seconds, 4)}


def compared(work: Work, name: str, task: str) -> dict[str, Any]:
    """Compare a step's gradients with the CPU's, and raise ``ArithmeticError`` where they differ."""
    shape = work.site.image_shape(task) if work.site.rehearse else COMPARED_SHAPE
    ours, theirs = (_gradient(name, task, shape, device) for device in (torch.device("cpu"), work.device))
    difference = float((ours - theirs).norm() / ours.norm())
    if not difference <= LARGEST_DIFFERENCE:
        raise ArithmeticError(f"gradients differ by {difference:.2e}, at most {LARGEST_DIFFERENCE} is rounding")
    return {"relative_difference": difference}


def _gradient(name: str, task: str, shape: tuple[int, int], device: torch.device) -> Tensor:
    model, operator, y, truth = _problem(name, task, shape, device)
    compute_gradients(model, operator, y, truth, "final")
    parts = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    return torch.cat([part.flatten() for part in parts]).cpu().double()


def _problem(
    name: str, task: str, shape: tuple[int, int], device: torch.device
) -> tuple[ReconstructionModel, ForwardOperator, Tensor, Tensor]:
    """Return a model, an operator, measurements and images: the same numbers on every device.

    Weights that start at zero are perturbed, so that every parameter has a gradient; solves are short.
    """
    torch.manual_seed(0)
    model = MODELS[name](channels=TASKS[task].channels).train()
    if isinstance(model, EquilibriumModel):
        model.solver = replace(model.solver, max_steps=min(model.solver.max_steps, SHORT_SOLVES))
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.add_(OFF_ZERO * torch.randn(parameter.shape))
    here = torch.device("cpu")
    images = TASKS[task].load_split(None, "train", image_shape=shape, count=BATCH, seed=0)
    truth = torch.stack([images[index].image for index in range(BATCH)])
    operator = TASKS[task].operator_at(shape, device)
    generator = torch.Generator().manual_seed(0)
    y = TASKS[task].measure(operator, truth.to(device), generator)
    if device != here and shape == COMPARED_SHAPE:  # the CPU's own measurements, to the last digit
        generator = torch.Generator().manual_seed(0)
        y = TASKS[task].measure(TASKS[task].operator_at(shape, here), truth, generator).to(device)
    return copy.deepcopy(model).to(device), operator, y, truth.to(device)


def radon(work: Work) -> dict[str, Any]:
    """Test and time the Radon transform at the paper's size, and raise ``ArithmeticError`` for a wrong one."""
    shape, device = work.site.image_shape("ct"), work.device
    operator = TASKS["ct"].operator_at(shape, device)
    reference = TASKS["ct"].operator_at(shape, torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(BATCH, *operator.image_shape, generator=generator)
    y = torch.rand(BATCH, *operator.data_shape, generator=generator)
    found: dict[str, Any] = {
        "backend": type(getattr(operator, "projector", operator)).__name__,
        "mismatch": _mismatch(operator, x.to(device), y.to(device)),
        "mismatch_of_adjoint": _mismatch(operator, operator.adjoint(y.to(device)), y.to(device)),
        "forward_difference": _difference(operator(x.to(device)), reference(x)),
        "adjoint_difference": _difference(operator.adjoint(y.to(device)), reference.adjoint(y)),
    }
    if not max(value for name, value in found.items() if name != "backend") <= LARGEST_MISMATCH:
        raise ArithmeticError(f"the Radon transform is off: {found}")
    for batch in RADON_BATCHES[: 1 if work.site.rehearse else None]:
        images = torch.rand(batch, *operator.image_shape, device=device)
        for direction, apply, subject in (
            ("forward", operator, images),
            ("adjoint", operator.adjoint, operator(images)),
        ):
            apply(subject)
            taken = [clock.seconds(partial(apply, subject), device) for _ in range(RADON_REPEATS)]
            found[f"{direction}_image_us_at_{batch}"] = round(1e6 * statistics.median(taken) / batch, 1)
    return found


def _mismatch(operator: ForwardOperator, x: Tensor, y: Tensor) -> float:
    """Return |<A x, y> - <x, A^T y>| relative to |A x| |y|, dot products in float64."""
    forward, back = operator(x).double(), operator.adjoint(y).double()
    difference = (forward * y).sum() - (x * back).sum()
    return float(difference.abs() / (forward.norm() * y.double().norm()))


def _difference(found: Tensor, reference: Tensor) -> float:
    return float((found.cpu() - reference).norm() / reference.norm())
