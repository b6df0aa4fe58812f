"""Pieces of work, each beside what it could take at best or beside another library, timed in turn."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from bench.comparison.operator_cases import FULL_SHAPES, PAPER, build, build_radon, phantom
from bench.comparison.solver_map import TimedMap
from bench.comparison.solver_peers import PEERS
from bench.comparison.solver_race import LAST_NORM_WEIGHT, SolverRace
from bench.evaluation import clock
from bench.records import Direction, SolversSpec
from bench.records.environment import installed
from bench.tasks import TASKS
from bench.training.step import make_optimizer, placed, training_step
from models import LuserDW
from operators.radon.gather_matrix import GatherMatrix

CPU = torch.device("cpu")
WINDOW = (96, 96)
"""Of a training step: the larger of the windows that the recipes of real images train on."""
CONVOLUTIONS = ("convolution", "conv2d")

Measure = Callable[[], tuple[float, float]]
"""Returns the seconds of the work and of what it is beside, taken one after the other."""


@dataclass(frozen=True)
class Work:
    """What is timed.

    Attributes:
        beside: what it is compared with.
        image_shape: (H, W) in pixels.
        batch: B.
        prepare: builds all and returns what measures once.
        libraries: other libraries that take part.
    """

    beside: str
    image_shape: tuple[int, int]
    batch: int
    prepare: Callable[[], Measure]
    libraries: tuple[str, ...] = ()


def _in_turn(work: Callable[[], object], beside: Callable[[], object]) -> Measure:
    return lambda: (clock.seconds(work, CPU), clock.seconds(beside, CPU))


def _fourier(direction: Direction, batch: int) -> Work:
    shape = FULL_SHAPES["fourier"]

    def prepare() -> Measure:
        operator = build("fourier", PAPER, shape)
        x = phantom(operator, batch)
        y, image = operator(x), torch.complex(x[:, 0], x[:, 1])
        apply: Callable[[], Tensor] = (lambda: operator(x)) if direction == "forward" else lambda: operator.adjoint(y)
        return _in_turn(apply, lambda: torch.fft.fft2(image))

    return Work("torch.fft.fft2 of the images", shape, batch, prepare)


def _blur(batch: int) -> Work:
    shape = FULL_SHAPES["blur"]

    def prepare() -> Measure:
        operator = build("blur", PAPER, shape)
        x = phantom(operator, batch)
        return _in_turn(lambda: operator(x), x.clone)

    return Work("a copy of the images", shape, batch, prepare)


def _radon(direction: Direction, batch: int) -> Work:
    shape = FULL_SHAPES["radon"]

    def prepare() -> Measure:
        operator = build_radon("kpi", shape, backend="matrix")
        x = phantom(operator, batch)
        y = operator(x)
        apply: Callable[[], Tensor] = (lambda: operator(x)) if direction == "forward" else lambda: operator.adjoint(y)
        tables = "forward" if direction == "forward" else "transposed"
        stored = sum(
            buffer.nbytes
            for module in operator.projector.modules()
            if isinstance(module, GatherMatrix)
            for name, buffer in module.named_buffers()
            if name.startswith(tables)
        )
        read = torch.ones(stored // 4)
        return _in_turn(apply, read.sum)

    return Work("reading the matrix once", shape, batch, prepare)


def _luser_step(batch: int) -> Work:
    def prepare() -> Measure:
        task = TASKS["deblur"]
        torch.manual_seed(0)
        luser = LuserDW(channels=task.channels)
        with torch.no_grad():
            for block in luser.blocks:
                block.get_parameter("mix.4.weight").fill_(LAST_NORM_WEIGHT)
        model = placed(luser, CPU).train()
        operator = task.operator_at(WINDOW, CPU)
        truth = torch.rand(batch, task.channels, *WINDOW)
        y, optimizer = operator(truth), make_optimizer(model, learning_rate=0.0)

        def measure() -> tuple[float, float]:
            with profile(activities=[ProfilerActivity.CPU]) as seen:
                total = clock.seconds(lambda: training_step(model, optimizer, operator, y, truth, "final"), CPU)
            inside = sum(
                event.self_cpu_time_total
                for event in seen.key_averages()
                if event.key.startswith("aten::") and any(name in event.key for name in CONVOLUTIONS)
            )
            return total, inside * 1e-6

        return measure

    return Work("its convolutions", WINDOW, batch, prepare)


def _solver(side: int) -> Work:
    batch, tolerance = 8, 1e-3

    def prepare() -> Measure:
        spec = SolversSpec(
            task="deblur",
            model="luser-sw",
            image_shape=(side, side),
            batch=batch,
            tolerance=tolerance,
            max_steps=50,
            history=6,
            repeats=1,
            peers=installed(PEERS),
        )
        race = SolverRace(spec, CPU)
        timed, solvers = TimedMap(race.scene(spec.image_shape, batch), CPU), race.solvers()
        ours, theirs = solvers["ours", "anderson"], solvers["torchdeq", "anderson"]
        return lambda: (timed.seconds(ours)[1], timed.seconds(theirs)[1])

    return Work("TorchDEQ's own time", (side, side), batch, prepare, ("torchdeq",))


WORK: dict[str, Work] = {
    "fourier-forward-1": _fourier("forward", 1),
    "fourier-forward-8": _fourier("forward", 8),
    "fourier-adjoint-1": _fourier("adjoint", 1),
    "fourier-adjoint-8": _fourier("adjoint", 8),
    "blur-forward-8": _blur(8),
    "radon-forward-1": _radon("forward", 1),
    "radon-adjoint-1": _radon("adjoint", 1),
    "radon-forward-8": _radon("forward", 8),
    "luser-step": _luser_step(1),
    "anderson-64": _solver(64),
    "anderson-128": _solver(128),
}
"""Key -> work."""
