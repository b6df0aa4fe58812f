"""The base class of models with fixed points: solver, gradient rule and Jacobian penalty."""

from abc import abstractmethod

import torch
from torch import Tensor

from models.base import Policy, Reconstruction, ReconstructionModel
from models.equilibrium.choices import require_gradient, require_solver
from models.equilibrium.fixed_point import FixedPointSolver
from models.equilibrium.gradients import ONE_GRAPH, RECOMPUTE, GradientRule, Unrolled
from models.equilibrium.implicit import FixedPointResult, implicit_fixed_point, jacobian_penalty
from models.equilibrium.problem import FixedPointProblem
from operators import ForwardOperator

POLICY_GRADIENTS: dict[Policy, GradientRule] = {"paper": ONE_GRAPH, "recompute": RECOMPUTE}

Stage = tuple[FixedPointProblem, tuple[Tensor, ...]]
"""A stage's fixed-point problem and its inputs."""


class EquilibriumModel(ReconstructionModel):
    """A model whose stages are fixed points.

    Args:
        channels: image channels C.
        policy: see ``ReconstructionModel``.
        solver: for the forward and the backward fixed points.
        gradient: gradient rule; None takes the exact one in the policy's memory.

    Attributes:
        backward_solver: for the backward fixed points alone; None takes ``solver``.

    Raises:
        ValueError: if solver or gradient is no such object, such as its name; the message says how that is written.
    """

    def __init__(
        self,
        channels: int,
        *,
        policy: Policy,
        solver: FixedPointSolver,
        gradient: GradientRule | Unrolled | None,
    ) -> None:
        super().__init__(channels, policy)
        self.solver = require_solver(solver)
        self.backward_solver: FixedPointSolver | None = None
        self.gradient = None if gradient is None else require_gradient(gradient)

    def _solve(self, stage: Stage, start: Tensor) -> FixedPointResult:
        gradient = self.gradient or POLICY_GRADIENTS[self.policy]
        return implicit_fixed_point(
            *stage, start, solver=self.solver, backward_solver=self.backward_solver, gradient=gradient
        )

    @abstractmethod
    def _finished_stage(self, index: int, y: Tensor, operator: ForwardOperator, result: Reconstruction) -> Stage:
        """Return a stage of a finished reconstruction, its image inputs without a graph."""

    def jacobian_penalty(
        self,
        y: Tensor,
        operator: ForwardOperator,
        result: Reconstruction,
        *,
        stage: int,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Estimate |J|_F^2 / N of the map of one stage, at the batch's first sample, to be added to the loss.

        A small Jacobian makes both solves short. Gradients reach the weights, not the images before the stage. The map
        is differentiated twice; on one sample, its memory does not depend on the batch.

        Args:
            y: measurements, (B, *operator.data_shape).
            operator: A.
            result: what the model made of ``y``.
            stage: number of the stage, from 0; training draws one for each step.
            generator: of the probe, on the CPU; None takes PyTorch's own.

        Returns:
            A scalar with a graph.

        Raises:
            ValueError: if there is no such stage.

        Source: Bai, Koltun and Kolter 2021.
        """
        if not 0 <= stage < len(result.stages):
            raise ValueError(f"stage must be at least 0 and at most {len(result.stages) - 1}, got {stage}")
        first = Reconstruction(result.image[:1], tuple(image[:1] for image in result.stages))
        problem, inputs = self._finished_stage(stage, y[:1], operator, first)
        return jacobian_penalty(problem, inputs, first.stages[stage].detach(), generator)
