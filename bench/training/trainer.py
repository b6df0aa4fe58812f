"""Trains a model: resumable at every step, on one device or on several."""

import math
import time
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor

from bench.records import ValidationPoint
from bench.records.recipe import Window
from bench.tasks.windows import Windows
from bench.training.average import weight_average
from bench.training.batches import BatchOrder, Purpose, augment, batches, random_numbers
from bench.training.checkpoint import (
    joined,
    load_module,
    load_optimizer,
    optimizer_tensors,
    read_checkpoint,
    under,
    write_checkpoint,
)
from bench.training.log import TrainingLog, falls_due
from bench.training.processes import make_fabric, mean_over_processes
from bench.training.run import TrainingRun
from bench.training.step import (
    Objective,
    Penalty,
    StepReport,
    buffers_of,
    clip_gradients,
    optimizer_of,
    restore_buffers,
    set_rate,
    use_solvers_of,
)
from bench.training.validation import validate
from models import EquilibriumModel, Reconstruction, ReconstructionModel
from operators import ForwardOperator

Watch = Callable[[TrainingLog, float], None]
"""Receives the log and the share of the run that is done, after every step."""


def fit(run: TrainingRun, watch: Watch = lambda log, done: None) -> TrainingLog:
    """Train a model in place.

    Order, views and noise follow from the seed and the step alone, so that a run that resumes from its checkpoint
    ends with the weights of one that was never interrupted: bit for bit on the CPU, unless its budget is time.

    Args:
        run: what to train.
        watch: receives the progress.

    Returns:
        The log of the training.

    Raises:
        CheckpointError: if the checkpoint is broken or another model's.
        ValueError: if several processes cannot share the recipe's batch, or the recipe validates without images.
    """
    return _Trainer(run).train(watch)


class _Trainer:
    def __init__(self, run: TrainingRun) -> None:
        if run.recipe.validations and run.validation is None:
            raise ValueError("the recipe validates, but there are no validation images")
        self.run, self.recipe = run, run.recipe
        self.fabric = run.fabric or make_fabric(torch.device("cpu"))
        self.own_solvers = use_solvers_of(run.recipe, run.model)
        self.inner = Objective(run.model, run.loss, run.precision)
        optimizer = optimizer_of(run.recipe, run.model)
        self.objective, self.optimizer = self.fabric.setup(self.inner, optimizer)
        self.average = weight_average(run.model, run.recipe.ema_decay) if run.recipe.ema_decay else None
        self.best: dict[str, Tensor] = {}
        self.log = TrainingLog()
        self.windows: Windows
        self.window: Window | None = None

    def train(self, watch: Watch) -> TrainingLog:
        self._resume()
        self.run.model.train()
        read, saved, done = self._reader(), time.monotonic(), self._done()
        while done < 1 and not self.log.diverged:
            before = done
            report = self._step(read, before)
            done = self._done()
            self.log.trace(report, before, done)
            if falls_due(self.recipe.validations, before, done):
                self._validate()
            watch(self.log, done)
            if time.monotonic() - saved > self.run.checkpoint_s:
                self._save()
                saved = time.monotonic()
        self._save()
        load_module(self.run.model, self.best or self._weights().state_dict())
        self.own_solvers()
        return self.log

    def _done(self) -> float:
        """The share of the run that is done, the same in all processes."""
        if self.recipe.minutes is None:
            return min(1.0, self.log.step / self.recipe.steps)
        return min(1.0, self.fabric.broadcast(self.log.train_s) / (60 * self.recipe.minutes))

    def _reader(self) -> Callable[[], list[Tensor]]:
        order = BatchOrder(
            len(self.run.images),
            self.recipe.batch,
            self.run.seed,
            first_step=self.log.step,
            rank=self.fabric.global_rank,
            processes=self.fabric.world_size,
        )
        endless = batches(self.run.images, order, self.run.workers)
        return lambda: next(endless)

    def _step(self, read: Callable[[], list[Tensor]], done: float) -> StepReport:
        started = time.monotonic()
        images = read()
        waited = time.monotonic() - started
        set_rate(self.optimizer, self.recipe, done)
        if done >= self.recipe.frozen_statistics:
            self.run.model.freeze_statistics()
        before = buffers_of(self.run.model)
        report = self._gradients(images, self._windows_at(done))
        if not report.finite:
            self.optimizer.zero_grad(set_to_none=True)  # without gradients no weight moves
            restore_buffers(self.run.model, before)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update_parameters(self.run.model)
        self.log.note(report, time.monotonic() - started, waited)
        self.fabric.log("loss", self.log.losses[-1], self.log.step)
        return report

    def _windows_at(self, done: float) -> Windows:
        """The windows of a step at a share of the run; the operator is built anew where its size changes."""
        window = self.recipe.window_at(done)
        if window != self.window:
            shape = self.recipe.view_shape(self.run.image_shape, done)
            self.windows = self.run.task.windows_at(
                self.run.image_shape, shape, self.fabric.device, shrunk=window.shrunk
            )
            self.window = window
        return self.windows

    def _gradients(self, images: list[Tensor], windows: Windows) -> StepReport:
        views = self._random("views")
        turned = [augment(image.to(self.fabric.device), self.recipe.augmentation, views) for image in images]
        truth, y = windows.measure(turned, views, self._random("noise"))
        self.fabric.backward(self.objective(y, windows.operator, truth, self._penalty(y, windows.operator)))
        norm = clip_gradients(self.objective, self.recipe.clip_norm)
        return StepReport(mean_over_processes(self.inner.value, self.fabric), norm, self.inner.solves)

    def _penalty(self, y: Tensor, operator: ForwardOperator) -> Penalty | None:
        model, weight = self.run.model, self.recipe.jacobian_weight
        if not weight or not isinstance(model, EquilibriumModel):
            return None
        numbers = self._random("penalty")

        def penalty(result: Reconstruction) -> Tensor:
            stage = int(torch.randint(len(result.stages), (), generator=numbers))
            return weight * model.jacobian_penalty(y, operator, result, stage=stage, generator=numbers)

        return penalty

    def _random(self, purpose: Purpose) -> torch.Generator:
        return random_numbers(self.run.seed, self.log.step, purpose, self.fabric.global_rank)

    def _weights(self) -> ReconstructionModel:
        """The model that is validated and returned: with averaged weights, where there is an average."""
        if self.average is None:
            return self.run.model
        return cast(ReconstructionModel, self.average.module)

    def _validate(self) -> None:
        assert self.run.validation is not None
        started = time.monotonic()
        psnr_db, ssim = validate(self._weights(), self.run.task, self.run.validation, self.run.precision)
        self.log.validation_s += time.monotonic() - started
        if self.log.best_psnr_db < psnr_db < math.inf:
            self.best = {name: tensor.detach().clone() for name, tensor in self._weights().state_dict().items()}
            self.log.chosen_step = self.log.step
        point = ValidationPoint(step=self.log.step, train_s=self.log.train_s, psnr_db=psnr_db, ssim=ssim)
        self.log.validation_trace.append(point)
        self.fabric.log_dict({"validation/psnr_db": psnr_db, "validation/ssim": ssim}, self.log.step)

    def _save(self) -> None:
        if self.run.checkpoint is None or not self.fabric.is_global_zero:
            return
        parts = {
            "model": self.run.model.state_dict(),
            "best": self.best,
            "optimizer": optimizer_tensors(self.optimizer),
        }
        if self.average is not None:
            parts["average"] = self.average.state_dict()
        write_checkpoint(self.run.checkpoint, joined(parts), self.log)

    def _resume(self) -> None:
        if self.run.checkpoint is None or not self.run.checkpoint.exists():
            return
        tensors, self.log = read_checkpoint(self.run.checkpoint)
        load_module(self.run.model, under("model", tensors))
        load_optimizer(self.optimizer, under("optimizer", tensors))
        if self.average is not None:
            load_module(self.average, under("average", tensors))
        self.best = under("best", tensors)
        self.fabric.barrier()  # no process writes before every process has read
