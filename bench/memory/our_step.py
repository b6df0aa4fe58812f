"""The training step of one of our models, for memory measurements; on fake tensors it is traced."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from bench.memory.convolutions import Workspaces, pinned
from bench.memory.recorder import section
from bench.memory.trace import MakeStep, Trace, trace_step
from bench.records import Precision
from bench.training.step import make_optimizer, training_step
from models import Policy, ReconstructionModel
from operators import LinearOperator

TRACED_SOLVER_STEPS = 3


class ShapeOperator(LinearOperator):
    """Stands in for an operator: the same shapes and dtype, and one allocation, its output, per application.

    Args:
        image_shape: shape of one image.
        data_shape: shape of one measurement.
        data_dtype: dtype of the measurements.
        frozen_values: kernel values that the paper counts as parameters.
    """

    def __init__(
        self,
        image_shape: tuple[int, ...],
        data_shape: tuple[int, ...],
        data_dtype: torch.dtype,
        frozen_values: int = 0,
    ) -> None:
        super().__init__(image_shape, data_shape)
        self.data_dtype = data_dtype
        self._frozen_values = frozen_values
        self._norm = 1.0

    @property
    def frozen_values(self) -> int:
        """The frozen kernel values of the operator it stands for."""
        return self._frozen_values

    def _forward(self, x: Tensor) -> Tensor:
        return x.new_empty((len(x), *self.data_shape), dtype=self.data_dtype)

    def _adjoint(self, y: Tensor) -> Tensor:
        return y.new_empty((len(y), *self.image_shape), dtype=torch.float32)


def trace_training(
    make_model: Callable[..., ReconstructionModel],
    operator: ShapeOperator,
    policy: Policy,
    precision: Precision = "fp32",
    *,
    workspaces: Workspaces = pinned,
    channels_last: bool = False,
) -> Trace:
    """Trace two training steps of a model.

    Args:
        make_model: called as ``make_model(channels=C)``.
        operator: shapes of the task's operator.
        policy: what the model keeps for the backward pass.
        precision: see ``bench.training.step.compute_gradients``.
        workspaces: tells what cuDNN takes inside a convolution.
        channels_last: whether the network lies so in memory; what its convolutions give then does, too.

    Raises:
        TraceError: as of ``trace_step``.
    """
    step = _step_of(make_model, operator, policy, precision, channels_last)
    return trace_step(step, precision, workspaces)


def _step_of(
    make_model: Callable[..., ReconstructionModel],
    operator: ShapeOperator,
    policy: Policy,
    precision: Precision,
    channels_last: bool,
) -> MakeStep:
    def make_step(batch: int) -> Callable[[], object]:
        model = make_model(channels=operator.image_shape[0])
        if channels_last:
            _lay_channels_last(model)
        bound_solver(model, policy)
        optimizer = make_optimizer(model)
        with section("images and measurements"):
            truth = torch.empty(batch, *operator.image_shape)
            y = torch.empty(batch, *operator.data_shape, dtype=operator.data_dtype)
        return lambda: training_step(model, optimizer, operator, y, truth, "final", precision)

    return make_step


def _lay_channels_last(model: nn.Module) -> None:
    """Do what ``model.to(memory_format=torch.channels_last)`` does, which cannot swap every fake weight."""
    for parameter in model.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.to(memory_format=torch.channels_last)


def bound_solver(model: ReconstructionModel, policy: Policy) -> None:
    """Set a model up as it is traced: its policy, and as many solver steps whatever the values are.

    Args:
        model: put into training mode.
        policy: the tensors that it keeps for the backward pass.
    """
    model.policy = policy
    model.train()
    solver = getattr(model, "solver", None)
    if solver is not None:
        # The history is allocated whole at the start, so memory does not grow after the second step; and
        # tolerance zero never asks a fake tensor for a value.
        model.solver = replace(solver, max_steps=min(solver.max_steps, TRACED_SOLVER_STEPS), tolerance=0.0)
