"""The map that solvers are timed on: a stage of a model, its evaluations apart from the solver around them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.evaluation import clock
from models import FixedPointSolver, Luser
from models.base import starting_image
from models.equilibrium.fixed_point import Map
from operators import ForwardOperator


@dataclass(frozen=True)
class Scene:
    """A model, an operator and measured images."""

    model: Luser
    operator: ForwardOperator
    truth: Tensor
    y: Tensor


class Watch:
    """Counts and times a map's evaluations."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.inside, self.calls, self.samples = 0.0, 0, 0

    def timed(self, f: Map) -> Map:
        """Return the map, its evaluations counted and timed."""

        def counted(z: Tensor) -> Tensor:
            started = clock.now_s(self.device)
            with torch.no_grad():
                value = f(z)
            self.inside += clock.now_s(self.device) - started
            self.calls += 1
            self.samples += len(z)
            return value

        return counted


class TimedMap:
    """The map of a model's first stage.

    Args:
        scene: the model and what it reconstructs.
        device: where the scene lies.
    """

    def __init__(self, scene: Scene, device: torch.device) -> None:
        self.device = device
        image = starting_image(scene.y, scene.operator)
        self._problem, inputs = scene.model.stage(0, image, scene.y, scene.operator)
        with torch.no_grad():
            self._context = self._problem.prepare(*inputs)
        self._start = torch.zeros_like(scene.truth)

    def on(self, rows: Tensor | None = None) -> Map:
        """Return the map on some samples; on all without ``rows``."""
        some = self._context if rows is None else self._context.select(rows)
        return lambda z: self._problem.step(z, some)

    def solve(self, solver: FixedPointSolver, watch: Watch) -> Tensor:
        """Return what a solver finds from zero; ``watch`` counts and times the map's evaluations."""
        return solver(watch.timed(self.on()), self._start, lambda rows: watch.timed(self.on(rows))).z

    def seconds(self, solver: FixedPointSolver) -> tuple[float, float]:
        """Return the seconds of a solve, and of those the ones outside the map."""
        watch = Watch(self.device)
        total = clock.seconds(lambda: self.solve(solver, watch), self.device)
        return total, total - watch.inside
