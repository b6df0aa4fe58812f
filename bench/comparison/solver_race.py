"""Solvers and gradient rules on the paper's network, in one run with interleaved repeats."""

from collections.abc import Callable, Collection
from functools import cached_property
from typing import TypeVar

import torch
from torch import Tensor

from bench.comparison.solver_map import Scene, TimedMap, Watch
from bench.comparison.solver_peers import peer_solvers
from bench.evaluation import clock
from bench.memory.storage import StorageRecorder
from bench.records import MethodRow, RuleRow, SolversSpec, SolversValues
from bench.tasks import TASKS
from bench.training.step import make_optimizer, reconstruction_loss, training_step
from models import GRADIENTS, SOLVERS, FixedPointSolver, LuserSW, Unrolled
from models.equilibrium.fixed_point import Map, residuals

LAST_NORM_WEIGHT = 0.03
"""Of the map's last GroupNorm. It starts at zero, where the map is constant; at 0.1 and initial weights the map has
no fixed point that any of the solvers finds within 50 steps."""

STEP_BATCH = 2
ERROR_SHAPE = (32, 32)
REFERENCE_STEPS = 60
"""The map contracts by 0.4 a step or better: 60 steps are exact in float64."""

UNROLLED_STEPS = 12

Method = tuple[str, str]
"""Library and method."""
K = TypeVar("K")
T = TypeVar("T")


class SolverRace:
    """Times every fixed-point solver and gradient rule, repeat by repeat in turn, for one record.

    Args:
        spec: sizes, tolerance and repeats.
        device: where to run.
        detail: told what is being measured.
    """

    def __init__(
        self, spec: SolversSpec, device: torch.device, detail: Callable[[str], None] = lambda text: None
    ) -> None:
        self.spec, self.device, self.detail = spec, device, detail
        self.small = self.scene(ERROR_SHAPE, 1)

    def run(self) -> SolversValues:
        """Measure every method on the first stage's map, and every gradient rule in a whole training step."""
        return SolversValues(methods=self._methods(), rules=self._rules(), step_batch=STEP_BATCH)

    def solvers(self) -> dict[Method, FixedPointSolver]:
        """Return our methods and the installed peers', all at the race's tolerance."""
        steps, tolerance, history = self.spec.max_steps, self.spec.tolerance, self.spec.history
        options = {name: {"history": history} if name == "anderson" else {} for name in SOLVERS}
        ours: dict[Method, FixedPointSolver] = {
            ("ours", name): make(max_steps=steps, tolerance=tolerance, **options[name])
            for name, make in SOLVERS.items()
        }
        return ours | peer_solvers(steps, tolerance, history)

    def _methods(self) -> tuple[MethodRow, ...]:
        scene, solvers = self.scene(self.spec.image_shape, self.spec.batch), self.solvers()
        timed = TimedMap(scene, self.device)

        def seconds(method: Method) -> tuple[float, float]:
            self.detail(" ".join(method))
            return timed.seconds(solvers[method])

        times = self._in_turn(solvers, seconds)
        rows = []
        for method, solver in solvers.items():
            watch = Watch(self.device)
            with StorageRecorder() as recorder:
                z = timed.solve(solver, watch)
            self.small.model.solver, self.small.model.gradient = solver, None
            rows.append(_method_row(method, watch, recorder, times[method], _residual(timed.on(), z), self._error()))
        return tuple(rows)

    def _rules(self) -> tuple[RuleRow, ...]:
        scene = self.scene(self.spec.image_shape, STEP_BATCH)
        scene.model.solver = self.small.model.solver = self.solvers()["ours", "anderson"]
        rules = GRADIENTS | {"unrolled": Unrolled(steps=UNROLLED_STEPS)}
        optimizer = make_optimizer(scene.model, learning_rate=0.0)  # as any other step, and the map stays

        def step() -> None:
            training_step(scene.model, optimizer, scene.operator, scene.y, scene.truth, "final")

        def seconds(rule: str) -> float:
            self.detail(f"{rule} step")
            scene.model.gradient = rules[rule]
            return clock.seconds(step, self.device)

        def row(rule: str, times: list[float]) -> RuleRow:
            scene.model.gradient = self.small.model.gradient = rules[rule]
            with StorageRecorder() as kept:
                image = scene.model(scene.y, scene.operator).image
                kept_bytes = kept.live_bytes
            del image
            with StorageRecorder() as recorder:
                step()
            return RuleRow(
                rule=rule,
                step_s=tuple(times),
                kept_bytes=kept_bytes,
                peak_bytes=recorder.peak_bytes,
                gradient_error=self._error(),
            )

        # Unrolling by itself: the gigabytes that it gives back slow down whoever comes next.
        lean = [rule for rule in rules if rule != "unrolled"]
        times = self._in_turn(lean, seconds) | self._in_turn(["unrolled"], seconds)
        return tuple(row(rule, times[rule]) for rule in rules)

    def _in_turn(self, contestants: Collection[K], work: Callable[[K], T]) -> dict[K, list[T]]:
        """Work through all contestants once to warm up, then ``repeats`` times in turn: drift hits all alike."""
        for key in contestants:
            work(key)
        found: dict[K, list[T]] = {key: [] for key in contestants}
        for _ in range(self.spec.repeats):
            for key in contestants:
                found[key].append(work(key))
        return found

    def scene(self, shape: tuple[int, int], batch: int) -> Scene:
        """Return LUSER-SW with initial weights but a map that is not constant, and generated images of the task."""
        task = TASKS[self.spec.task]
        torch.manual_seed(0)
        model = LuserSW(channels=task.channels).to(self.device).train()
        with torch.no_grad():
            model.blocks[0].get_parameter("mix.4.weight").fill_(LAST_NORM_WEIGHT)
        operator = task.operator_at(shape, self.device)
        images = task.load_split(None, "train", image_shape=shape, count=batch, seed=0)
        truth = torch.stack([images[index].image for index in range(batch)]).to(self.device)
        return Scene(model, operator, truth, task.measure(operator, truth, torch.Generator().manual_seed(0)))

    @cached_property
    def reference(self) -> Tensor:
        """The gradient of a whole model at ``ERROR_SHAPE``, unrolled in float64."""
        self.detail("reference gradient")
        self.small.model.gradient = Unrolled(steps=REFERENCE_STEPS)
        return _gradient(self.small, torch.float64)

    def _error(self) -> float:
        found = _gradient(self.small, torch.float32).double()
        return float((found - self.reference).norm() / self.reference.norm())


def _method_row(
    method: Method,
    watch: Watch,
    recorder: StorageRecorder,
    times: list[tuple[float, float]],
    residual: float,
    gradient_error: float,
) -> MethodRow:
    return MethodRow(
        library=method[0],
        method=method[1],
        evaluations=watch.calls,
        sample_evaluations=watch.samples,
        residual=residual,
        solve_s=tuple(total for total, _ in times),
        overhead_s=tuple(overhead for _, overhead in times),
        peak_bytes=recorder.peak_bytes,
        gradient_error=gradient_error,
    )


@torch.no_grad()
def _residual(f: Map, z: Tensor) -> float:
    """The largest relative residual of a batch."""
    value = f(z)
    return float(residuals(value, value - z)[1].max())


def _gradient(scene: Scene, dtype: torch.dtype) -> Tensor:
    """Return the loss's gradient with respect to all parameters, in evaluation mode: no vector moves."""
    model = scene.model.to(dtype).eval()
    loss = reconstruction_loss(model(scene.y.to(dtype), scene.operator), scene.truth.to(dtype), "final")
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    return torch.cat([gradient.flatten() for gradient in gradients])
