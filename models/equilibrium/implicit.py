"""A fixed point as one differentiable function: the problem, its solver and its gradient rule are independent."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from models.equilibrium.fixed_point import FixedPointSolver, Map, SolveStats, residuals
from models.equilibrium.gradients import RECOMPUTE, GradientRule, Linearisation, Unrolled
from models.equilibrium.once import differentiable_once
from models.equilibrium.problem import Context, FixedPointProblem
from operators import phase

_ONCE = differentiable_once(
    "the gradient of a fixed point (models/equilibrium/implicit.py) cannot be differentiated again; "
    "that of gradient=Unrolled() can"
)


@dataclass
class Solve:
    """How a fixed point and its gradient were solved.

    Attributes:
        forward: of the fixed point.
        backward: of the gradient's linear fixed point; None before the backward pass, and always where the
            gradient rule solves none.
    """

    forward: SolveStats
    backward: SolveStats | None = None


class FixedPointResult(NamedTuple):
    """What ``implicit_fixed_point`` returns: ``finish(z*)``, z* without a graph, and how the solves went."""

    output: Tensor
    z: Tensor
    solve: Solve


def implicit_fixed_point(
    problem: FixedPointProblem,
    inputs: tuple[Tensor, ...],
    start: Tensor,
    *,
    solver: FixedPointSolver,
    backward_solver: FixedPointSolver | None = None,
    gradient: GradientRule | Unrolled = RECOMPUTE,
) -> FixedPointResult:
    """Solve a fixed point and return ``finish(z*)``, differentiable with respect to ``inputs``.

    Under autocast the map runs in the lower precision, the solver's algebra in that of ``start``.

    What lives until the backward pass does not depend on the number of solver steps (``Unrolled`` excepted): the
    inputs and z*, or with ``ONE_GRAPH`` the graph of one application of the map.

    Args:
        problem: the map and what surrounds it.
        inputs: tensors that ``problem.prepare`` takes; gradients reach those that require them, once.
        start: z_0, (B, ...); no gradient flows to it.
        solver: for z*.
        backward_solver: for the gradient's linear fixed point; ``solver`` where it is None.
        gradient: how gradients are found, and what is kept for them.

    Source: Bai et al. 2019, Theorem 1; LUSER, Sec. 2.2.
    """
    if isinstance(gradient, Unrolled):
        return _unrolled(problem, inputs, start, gradient.steps or solver.max_steps, solver.tolerance)
    call = _Call(problem, solver, backward_solver or solver, gradient, start.device.type)
    if not (torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs)):
        context = problem.prepare(*inputs)
        z, solve = call.solve(start, context)
        return FixedPointResult(problem.finish(z, context), z, solve)
    function = _KeepGraph if gradient.keeps_graph else _Rebuild
    output = cast(Tensor, function.apply(call, start, *inputs))
    assert call.result is not None
    return FixedPointResult(output, *call.result)


def jacobian_penalty(
    problem: FixedPointProblem, inputs: tuple[Tensor, ...], output: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """Estimate |J|_F^2 / N of the map at its fixed point, differentiable with respect to ``inputs``.

    Args:
        problem: the map.
        inputs: as for ``implicit_fixed_point``.
        output: what it returned, (B, ...); taken as constant.
        generator: of the one Gaussian probe e in |J^T e|^2, on the CPU; None takes PyTorch's own.

    Returns:
        A scalar: the mean over samples and their N entries.

    Source: Bai, Koltun and Kolter 2021, Sec. 4 (Hutchinson's estimator).
    """
    with torch.enable_grad():
        context = problem.prepare(*inputs)
        z = problem.fixed_point_of(output, context).detach().requires_grad_()
        probe = torch.randn(z.shape, generator=generator, dtype=z.dtype).to(z.device)
        (pulled,) = torch.autograd.grad(problem.step(z, context), z, probe, create_graph=True)
        return pulled.square().mean()


def _unrolled(
    problem: FixedPointProblem, inputs: tuple[Tensor, ...], start: Tensor, steps: int, tolerance: float
) -> FixedPointResult:
    context = problem.prepare(*inputs)
    z = previous = start
    for _ in range(steps):
        z, previous = problem.step(z, context), z
    with torch.no_grad():
        _, residual = residuals(z, z - previous)
        taken = torch.full((len(z),), steps, device=z.device)
        stats = SolveStats(taken, residual, residual <= tolerance, ~residual.isfinite())
    return FixedPointResult(problem.finish(z, context), z.detach(), Solve(stats))


@dataclass
class _Call:
    """One fixed point as autograd sees it; ``result`` is z* and how it was found.

    It stores the forward pass's autocast state: autograd runs the backward pass without it.
    """

    problem: FixedPointProblem
    solver: FixedPointSolver
    backward_solver: FixedPointSolver
    gradient: GradientRule
    device: str
    result: tuple[Tensor, Solve] | None = None
    _precision: tuple[bool, torch.dtype] = field(init=False)

    def __post_init__(self) -> None:
        self._precision = torch.is_autocast_enabled(self.device), torch.get_autocast_dtype(self.device)

    def autocast(self) -> AbstractContextManager[Any]:
        """Compute in the forward pass's precision."""
        enabled, dtype = self._precision
        return torch.autocast(self.device, dtype=dtype, enabled=enabled)

    def solve(self, start: Tensor, context: Context) -> tuple[Tensor, Solve]:
        def on(some: Context) -> Map:
            def step(z: Tensor) -> Tensor:
                with self.autocast():  # which is off in the solver
                    return self.problem.step(z, some).to(z.dtype)

            return step

        select = None if self.problem.whole_batch else lambda samples: on(context.select(samples))
        with phase("solve"):
            solution = self.solver(on(context), start, select)
        self.result = solution.z, Solve(solution.stats)
        return self.result

    def cotangents(self, point: Linearisation, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the inputs' gradients, None for those that need none, and note how they were solved."""
        found, stats = self.gradient.pull(point, gradient, self.backward_solver)
        assert self.result is not None
        self.result[1].backward = stats
        parts = iter(found)
        return tuple(next(parts) if leaf.requires_grad else None for leaf in point.leaves)


def _leaves(inputs: tuple[Tensor, ...], needs: tuple[bool, ...]) -> tuple[Tensor, ...]:
    return tuple(tensor.detach().requires_grad_(need) for tensor, need in zip(inputs, needs, strict=True))


class _KeepGraph(torch.autograd.Function):
    """The linearisation lives from the forward pass to the first backward pass, which uses it up.

    With a retained graph, every later backward pass builds it again. The tensors saved for that are held by the
    linearisation anyway.
    """

    @staticmethod
    def forward(ctx: Any, call: _Call, start: Tensor, *inputs: Tensor) -> Tensor:
        leaves = _leaves(inputs, ctx.needs_input_grad[2:])
        with torch.enable_grad():
            context = call.problem.prepare(*leaves)
        frozen = context.detach()
        z, _ = call.solve(start, frozen)
        ctx.call, ctx.point = call, Linearisation.at(call.problem, z, leaves, context)
        ctx.save_for_backward(z, *inputs)
        return call.problem.finish(z, frozen).detach()

    @staticmethod
    @_ONCE
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        z, *inputs = ctx.saved_tensors  # raises where the graph was not retained
        with phase("backward"), ctx.call.autocast():
            point, ctx.point = ctx.point, None
            if point is None:
                leaves = _leaves(tuple(inputs), ctx.needs_input_grad[2:])
                with torch.enable_grad():
                    context = ctx.call.problem.prepare(*leaves)
                point = Linearisation.at(ctx.call.problem, z, leaves, context)
            return None, None, *ctx.call.cotangents(point, gradient)


class _Rebuild(torch.autograd.Function):
    """Only the inputs and the fixed point live until the backward pass, which builds the linearisation again."""

    @staticmethod
    def forward(ctx: Any, call: _Call, start: Tensor, *inputs: Tensor) -> Tensor:
        context = call.problem.prepare(*inputs)
        z, _ = call.solve(start, context)
        ctx.call = call
        ctx.save_for_backward(z, *inputs)
        return call.problem.finish(z, context)

    @staticmethod
    @_ONCE
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        z, *inputs = ctx.saved_tensors
        with phase("backward"), ctx.call.autocast():
            point = Linearisation.at(ctx.call.problem, z, _leaves(tuple(inputs), ctx.needs_input_grad[2:]))
            return None, None, *ctx.call.cotangents(point, gradient)
