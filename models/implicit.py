"""A fixed point as one differentiable function, in two memory policies with the same gradient."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor

from models.base import Policy, SolveStats
from models.fixed_point import Anderson
from operators import phase


class FixedPointProblem(ABC):
    """The equation z = step(z, context) and what surrounds it, as pure functions of explicit tensors.

    ``output = finish(z*, prepare(*inputs))``. Everything that needs a gradient is among ``inputs``.
    """

    @abstractmethod
    def prepare(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Compute once per solve what every step uses: the context."""

    @abstractmethod
    def step(self, z: Tensor, context: tuple[Tensor, ...]) -> Tensor:
        """Apply the map once; z and the result are (B, ...)."""

    @abstractmethod
    def finish(self, z: Tensor, context: tuple[Tensor, ...]) -> Tensor:
        """Turn the fixed point into the output."""


def implicit_fixed_point(
    problem: FixedPointProblem,
    inputs: tuple[Tensor, ...],
    start: Tensor,
    *,
    forward_solver: Anderson,
    backward_solver: Anderson,
    policy: Policy,
) -> tuple[Tensor, SolveStats]:
    """Solve a fixed point and return ``finish(z*)``, differentiable with respect to ``inputs``.

    The gradient is the implicit function theorem's: with J the map's Jacobian at z*, the cotangent
    w = g + J^T w is solved with ``backward_solver`` and pulled back through one step. Memory does not depend
    on the number of solver steps. ``paper`` keeps the graph of that step from the forward pass (one graph a
    stage); ``recompute`` keeps the inputs and z* and rebuilds it in the backward pass.

    Args:
        problem: the map.
        inputs: tensors that ``problem.prepare`` takes; gradients reach those that require them.
        start: z_0, (B, ...); no gradient flows to it.
        forward_solver: for z*.
        backward_solver: for w.
        policy: ``paper`` or ``recompute``.

    Returns:
        The output and how the forward solve went, per sample.

    Source: Bai et al. 2019, Theorem 1.
    """
    call = _Call(problem, forward_solver, backward_solver)
    if not (torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs)):
        context = problem.prepare(*inputs)
        return problem.finish(call.solve(start, context), context), call.stats[0]
    function = _KeepGraph if policy == "paper" else _Recompute
    output = cast(Tensor, function.apply(call, start, *inputs))
    return output, call.stats[0]


@dataclass
class _Call:
    """One solve: the problem, its solvers and, once solved, its statistics."""

    problem: FixedPointProblem
    forward_solver: Anderson
    backward_solver: Anderson
    stats: list[SolveStats] = field(default_factory=list)

    def solve(self, start: Tensor, context: tuple[Tensor, ...]) -> Tensor:
        with phase("solve"):
            solution = self.forward_solver(lambda z: self.problem.step(z, context), start)
        self.stats.append(solution.stats)
        return solution.z


@dataclass
class _Graph:
    """The graph of one step at the fixed point, from detached leaves to the output."""

    leaves: tuple[Tensor, ...]
    context: tuple[Tensor, ...]
    z: Tensor
    step: Tensor

    def cotangents(self, call: _Call, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients with respect to the leaves, None for those that need none."""
        fixed_point = self.step.detach().requires_grad_()
        with torch.enable_grad():
            output = call.problem.finish(fixed_point, self.context)
        (direct,) = torch.autograd.grad(output, fixed_point, gradient, retain_graph=True)

        def adjoint_step(w: Tensor) -> Tensor:
            (pulled,) = torch.autograd.grad(self.step, self.z, w, retain_graph=True)
            return direct + pulled

        w = call.backward_solver(adjoint_step, direct).z
        wanted = [leaf for leaf in self.leaves if leaf.requires_grad]
        found = iter(torch.autograd.grad((self.step, output), wanted, (w, gradient), allow_unused=True))
        return tuple(next(found) if leaf.requires_grad else None for leaf in self.leaves)


def _leaves(inputs: tuple[Tensor, ...], needs: tuple[bool, ...]) -> tuple[Tensor, ...]:
    return tuple(tensor.detach().requires_grad_(need) for tensor, need in zip(inputs, needs, strict=True))


class _KeepGraph(torch.autograd.Function):
    """Policy ``paper``: the step's graph lives from the forward pass to the backward pass."""

    @staticmethod
    def forward(ctx: Any, call: _Call, start: Tensor, *inputs: Tensor) -> Tensor:
        leaves = _leaves(inputs, ctx.needs_input_grad[2:])
        with torch.enable_grad():
            context = call.problem.prepare(*leaves)
        frozen = tuple(tensor.detach() for tensor in context)
        z = call.solve(start, frozen)
        with torch.enable_grad():
            leaf = z.detach().requires_grad_()
            step = call.problem.step(leaf, context)
        ctx.call, ctx.graph = call, _Graph(leaves, context, leaf, step)
        return call.problem.finish(z, frozen).detach()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        with phase("backward"):
            graph, ctx.graph = ctx.graph, None
            return None, None, *graph.cotangents(ctx.call, gradient)


class _Recompute(torch.autograd.Function):
    """Policy ``recompute``: only the inputs and the fixed point live until the backward pass."""

    @staticmethod
    def forward(ctx: Any, call: _Call, start: Tensor, *inputs: Tensor) -> Tensor:
        context = call.problem.prepare(*inputs)
        z = call.solve(start, context)
        ctx.call = call
        ctx.save_for_backward(z, *inputs)
        return call.problem.finish(z, context)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        saved, *inputs = ctx.saved_tensors
        leaves = _leaves(tuple(inputs), ctx.needs_input_grad[2:])
        with phase("backward"):
            with torch.enable_grad():
                context = ctx.call.problem.prepare(*leaves)
                z = saved.detach().requires_grad_()
                step = ctx.call.problem.step(z, context)
            graph = _Graph(leaves, context, z, step)
            return None, None, *graph.cotangents(ctx.call, gradient)
