"""Gradient rules: how the cotangent of a fixed point's output becomes those of its inputs."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.equilibrium.fixed_point import FixedPointSolver, SolveStats
from models.equilibrium.problem import Context, FixedPointProblem
from operators.validation import require_count, require_number


@dataclass(frozen=True)
class Linearisation:
    """One application of a map at its fixed point, with its graph.

    Attributes:
        problem: the map and what surrounds it.
        leaves: the inputs, detached from whatever made them.
        context: made from the leaves.
        z: the fixed point, a leaf too.
        value: ``step(z, context)``.
    """

    problem: FixedPointProblem
    leaves: tuple[Tensor, ...]
    context: Context
    z: Tensor
    value: Tensor

    @property
    def wanted(self) -> list[Tensor]:
        """The leaves that need a gradient."""
        return [leaf for leaf in self.leaves if leaf.requires_grad]

    @classmethod
    def at(
        cls, problem: FixedPointProblem, z: Tensor, leaves: tuple[Tensor, ...], context: Context | None = None
    ) -> "Linearisation":
        """Build the graph.

        Args:
            problem: the map and what surrounds it.
            z: the fixed point.
            leaves: the inputs.
            context: made from the leaves in the forward pass; the graph is then the ordinary one, as the paper's memory
                figures imply. None makes the context here, and the smallest graph possible.
        """
        with torch.enable_grad():
            step = problem.sparing_step if context is None else problem.step
            context = context or problem.prepare(*leaves)
            z = z.detach().requires_grad_()
            return cls(problem, leaves, context, z, step(z, context).to(z.dtype))


Pulled = tuple[Sequence[Tensor | None], SolveStats | None]
"""Gradients of the wanted leaves, None for those that took no part, and how a backward solve went."""


class GradientRule(ABC):
    """How gradients of a fixed point are found, and what is kept for them after the forward pass.

    Attributes:
        keeps_graph: whether the linearisation lives from the forward pass on; else the inputs and z* do, and
            the backward pass rebuilds it.
    """

    keeps_graph: bool = False

    @abstractmethod
    def pull(self, point: Linearisation, gradient: Tensor, solver: FixedPointSolver) -> Pulled:
        """Return the gradients of ``point.wanted``, and how the backward solve went if there is one.

        Args:
            point: the map's linearisation; its graph is used up.
            gradient: cotangent of the output, (B, ...).
            solver: for a linear fixed point.
        """


@dataclass(frozen=True)
class Implicit(GradientRule):
    """The implicit function theorem: w = g + J^T w is solved, then pulled back through one step.

    Exact up to the tolerances of the two solves. The backward solve runs on the whole batch until its last
    sample is done: leaving samples out would take a second graph besides the first.

    Attributes:
        keeps_graph: as in the paper, one graph per stage; else one step is rebuilt in the backward pass.

    Source: Bai et al. 2019, Theorem 1.
    """

    keeps_graph: bool = False

    def pull(self, point: Linearisation, gradient: Tensor, solver: FixedPointSolver) -> Pulled:
        """See ``GradientRule.pull``."""
        fixed_point = point.value.detach().requires_grad_()
        with torch.enable_grad():
            output = point.problem.finish(fixed_point, point.context)
        (direct,) = torch.autograd.grad(output, fixed_point, gradient, retain_graph=True)

        def adjoint_step(w: Tensor) -> Tensor:
            (pulled,) = torch.autograd.grad(point.value, point.z, w, retain_graph=True)
            return direct + pulled

        solution = solver(adjoint_step, direct)
        found = torch.autograd.grad((point.value, output), point.wanted, (solution.z, gradient), allow_unused=True)
        return found, solution.stats


@dataclass(frozen=True)
class Phantom(GradientRule):
    """The gradient of a few damped steps from the fixed point, z <- (1 - damping) z + damping step(z).

    No linear system is solved. For a contraction the error falls geometrically with the number of steps; one
    undamped step is the Jacobian-free gradient.

    Attributes:
        steps: at least 1; their graphs are rebuilt in the backward pass, and live there together.
        damping: in (0, 1].

    Raises:
        ValueError: if either is out of range.

    Source: Geng et al. 2021 (phantom gradients); Fung et al. 2022 (Jacobian-free backpropagation).

    Examples:
        >>> import torch
        >>> from models import Implicit, Phantom, fixed_point
        >>> for rule in (Implicit(), Phantom(steps=5), Phantom(steps=1)):
        ...     a = torch.tensor([1.0], requires_grad=True)
        ...     fixed_point(lambda z, a: a + z / 2, torch.zeros(1), inputs=(a,), gradient=rule).value.backward()
        ...     round(float(a.grad), 3)  # dz/da = 2
        2.0
        1.938
        1.0
    """

    steps: int = 5
    damping: float = 1.0

    def __post_init__(self) -> None:
        require_count("steps", self.steps)
        if require_number("damping", self.damping, above=0) > 1:
            raise ValueError(f"damping must be at most 1, got {self.damping}")

    def pull(self, point: Linearisation, gradient: Tensor, solver: FixedPointSolver) -> Pulled:
        """See ``GradientRule.pull``."""
        with torch.enable_grad():
            z, value = point.z, point.value
            for _ in range(self.steps - 1):
                z = z + self.damping * (value - z)
                value = point.problem.step(z, point.context)
            output = point.problem.finish(z + self.damping * (value - z), point.context)
        return torch.autograd.grad(output, point.wanted, gradient, allow_unused=True), None


@dataclass(frozen=True)
class Unrolled:
    """The reference: plain iteration from the start, every step on autograd's tape.

    Attributes:
        steps: how many, at least 1; None takes the solver's bound. The solver's method is not used.

    Raises:
        ValueError: if there are none.
    """

    steps: int | None = None

    def __post_init__(self) -> None:
        if self.steps is not None:
            require_count("steps", self.steps)


RECOMPUTE = Implicit()
ONE_GRAPH = Implicit(keeps_graph=True)
JACOBIAN_FREE = Phantom(steps=1)

GRADIENTS: dict[str, GradientRule | Unrolled] = {
    "recompute": RECOMPUTE,
    "one-graph": ONE_GRAPH,
    "jacobian-free": JACOBIAN_FREE,
    "phantom": Phantom(),
    "unrolled": Unrolled(),
}
"""Every gradient rule by name."""
