"""Fixed points of any function, differentiable with respect to tensors that it is given and to its modules."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from models.equilibrium.anderson import Anderson
from models.equilibrium.choices import require_gradient, require_solver
from models.equilibrium.fixed_point import FixedPointSolver, SolveStats
from models.equilibrium.gradients import RECOMPUTE, GradientRule, Unrolled
from models.equilibrium.implicit import Solve, implicit_fixed_point
from models.equilibrium.problem import Context, FixedPointProblem

SOLVER = Anderson(max_steps=100, tolerance=1e-5)


class Outcome(Enum):
    """How the solve of a sample ended."""

    CONVERGED = "converged"
    MAX_STEPS = "max_steps"
    """It ran out of steps."""
    DIVERGED = "diverged"
    """Its residual grew too far, or a value was not finite."""


class FixedPointError(ArithmeticError):
    """A fixed point was not reached."""


@dataclass(frozen=True)
class FixedPoint:
    """A fixed point z* = f(z*) of every sample, and how it was found.

    Attributes:
        value: z*, (B, ...), with a graph where gradients are wanted.
        solve: statistics of the solve, and after the backward pass of the gradient's.
    """

    value: Tensor
    solve: Solve

    @property
    def steps(self) -> Tensor:
        """Evaluations of f, (B,) int64."""
        return self.solve.forward.steps

    @property
    def residual(self) -> Tensor:
        """|f(z) - z| / |f(z)| of the value, (B,)."""
        return self.solve.forward.residual

    @property
    def converged(self) -> Tensor:
        """Whether the residual is below the tolerance, (B,) bool."""
        return self.solve.forward.converged

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """How every sample ended; waits for the device."""
        stats = self.solve.forward
        pairs = zip(stats.converged.tolist(), stats.diverged.tolist(), strict=True)
        return tuple(
            Outcome.CONVERGED if done else Outcome.DIVERGED if lost else Outcome.MAX_STEPS for done, lost in pairs
        )

    @property
    def outcome(self) -> Outcome:
        """The worst of them: diverged, else out of steps, else converged."""
        outcomes = self.outcomes
        return next((bad for bad in (Outcome.DIVERGED, Outcome.MAX_STEPS) if bad in outcomes), Outcome.CONVERGED)


def fixed_point(
    f: Callable[..., Tensor],
    z0: Tensor,
    *,
    inputs: Sequence[Tensor] = (),
    solver: FixedPointSolver = SOLVER,
    backward_solver: FixedPointSolver | None = None,
    gradient: GradientRule | Unrolled = RECOMPUTE,
    throw: bool = False,
) -> FixedPoint:
    """Solve z = f(z, *inputs).

    Gradients reach the inputs, and the parameters of modules: of f itself, of the module whose method it is, and of
    those that it names (as variables around it or global ones). Other tensors that want a gradient are refused; to
    see them, f is evaluated once more, and not with ``Unrolled``, which takes gradients to whatever f uses.

    Args:
        f: (z, *inputs) -> like z; no sample may depend on another. Every step evaluates the whole batch.
        z0: where to start, (B, ...), floating point; no gradient flows to it.
        inputs: tensors of any shape.
        solver: for z*.
        backward_solver: for the gradient's linear fixed point; ``solver`` where it is None.
        gradient: how gradients are found, see ``GRADIENTS``.
        throw: raise an error for a sample that does not converge.

    Raises:
        ValueError: for a z0 or inputs that are no such tensors, an f that returns another shape or uses tensors that
            want gradients and are not given, a solver or gradient rule that is none.
        FixedPointError: with ``throw``, if a sample does not converge.

    Source: the interface of Optimistix' ``fixed_point``; Bai et al. 2019 for the gradients.

    Examples:
        >>> import torch
        >>> from models import fixed_point
        >>> a = torch.tensor([2.0, 9.0], requires_grad=True)
        >>> root = fixed_point(lambda z, a: (z + a / z) / 2, torch.ones(2), inputs=(a,))  # Heron's square root
        >>> root.value.detach()
        tensor([1.4142, 3.0000])
        >>> root.value.sum().backward()
        >>> a.grad  # 1 / (2 sqrt(a))
        tensor([0.3536, 0.1667])
    """
    _require_tensors(z0, inputs)
    problem = _FunctionProblem(f, len(inputs))
    tensors = (*inputs, *problem.parameters)
    rule = require_gradient(gradient)
    if torch.is_grad_enabled() and not isinstance(rule, Unrolled):
        problem.require_all_given(z0, tensors)
    result = implicit_fixed_point(
        problem,
        tensors,
        z0.detach(),
        solver=require_solver(solver),
        backward_solver=None if backward_solver is None else require_solver(backward_solver),
        gradient=rule,
    )
    if throw:
        _throw(result.solve.forward, solver)
    return FixedPoint(result.output, result.solve)


def _require_tensors(z0: Any, inputs: Any) -> None:
    if not (isinstance(z0, Tensor) and z0.is_floating_point() and z0.dim() > 0):
        got = f"{z0.dtype} {tuple(z0.shape)}" if isinstance(z0, Tensor) else type(z0).__name__
        raise ValueError(f"z0 must be a floating-point tensor (B, ...), got {got}")
    if not isinstance(inputs, (tuple, list)) or not all(isinstance(value, Tensor) for value in inputs):
        raise ValueError("inputs must be a tuple of tensors; close over everything else")


def _throw(stats: SolveStats, solver: FixedPointSolver) -> None:
    batch, missed, lost = len(stats.converged), int((~stats.converged).sum()), int(stats.diverged.sum())
    if missed:
        raise FixedPointError(
            f"{missed} of {batch} samples did not converge, {lost} of them diverged: the largest residual is "
            f"{float(stats.residual.max()):.2g} after {int(stats.steps.max())} steps, wanted {solver.tolerance:g}"
        )


class _FunctionProblem(FixedPointProblem):
    """z = f(z, *inputs), in which modules that f uses take their parameters from the inputs behind those."""

    whole_batch = True

    def __init__(self, f: Callable[..., Tensor], num_inputs: int) -> None:
        self._call, self._num_inputs = _Call(f), num_inputs
        learned = {name: value for name, value in self._call.named_parameters() if value.requires_grad}
        self._names, self.parameters = tuple(learned), tuple(learned.values())

    def prepare(self, *inputs: Tensor) -> Context:
        return Context((), inputs)

    def step(self, z: Tensor, context: Context) -> Tensor:
        inputs, parameters = context.shared[: self._num_inputs], context.shared[self._num_inputs :]
        named = dict(zip(self._names, parameters, strict=True))
        value = functional_call(self._call, named, (z, *inputs))
        if not isinstance(value, Tensor) or value.shape != z.shape:
            got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"f must return a tensor like z, {tuple(z.shape)}, got {got}")
        return value

    def finish(self, z: Tensor, context: Context) -> Tensor:
        return z

    def fixed_point_of(self, output: Tensor, context: Context) -> Tensor:
        return output

    def require_all_given(self, z: Tensor, tensors: Sequence[Tensor]) -> None:
        """Refuse an f whose value depends on other tensors that want gradients."""
        with torch.enable_grad():
            value = self.step(z.detach(), self.prepare(*(tensor.detach() for tensor in tensors)))
        if value.requires_grad:
            raise ValueError(
                "f uses a tensor that wants a gradient and is not given; write fixed_point(lambda z, t: ..., z0, "
                "inputs=(t,)) for it, or detach it"
            )


class _Call(nn.Module):
    """A function and the modules that it uses, as one module."""

    def __init__(self, f: Callable[..., Tensor]) -> None:
        super().__init__()
        self._used = nn.ModuleList(_modules_of(f))
        self._function = (f,)  # not as a module a second time

    def forward(self, z: Tensor, *inputs: Tensor) -> Tensor:
        return self._function[0](z, *inputs)


def _modules_of(f: Any) -> Iterator[nn.Module]:
    if isinstance(f, nn.Module):
        yield f
        return
    if inspect.ismethod(f):
        yield from _modules_of(f.__self__)
    if inspect.isroutine(f) and not inspect.isbuiltin(f):
        used = inspect.getclosurevars(f)
        yield from (
            value for value in (*used.nonlocals.values(), *used.globals.values()) if isinstance(value, nn.Module)
        )
