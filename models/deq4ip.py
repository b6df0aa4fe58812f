"""DEQ4IP: the whole proximal-gradient iteration as one deep-equilibrium model."""

import torch
from torch import Tensor
from torch.func import functional_call

from models.base import Policy, Reconstruction, ReconstructionModel, gradient_step, starting_image
from models.fixed_point import Anderson
from models.implicit import FixedPointProblem, implicit_fixed_point
from models.networks import DnCNN
from models.spectral import SpectralNorm
from operators import LinearOperator

SOLVER = Anderson(max_steps=20, tolerance=1e-3, ridge=0.1)
"""What A does not see changes by little and by the same from step to step; with a ridge of 1e-4 Anderson takes that
for a far-away fixed point and leaps: on small MRI images 3 to 10 dB are lost within 24 training steps."""


class _Iteration(FixedPointProblem):
    """x = d + DnCNN(d), d = gradient step of x."""

    def __init__(self, network: DnCNN, names: tuple[str, ...], operator: LinearOperator) -> None:
        self.network, self.names, self.operator = network, names, operator

    def prepare(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return inputs

    def step(self, z: Tensor, context: tuple[Tensor, ...]) -> Tensor:
        y, step_size, *weights = context
        d = gradient_step(z, y, self.operator, step_size)
        return d + functional_call(self.network, dict(zip(self.names, weights, strict=True)), (d,))

    def finish(self, z: Tensor, context: tuple[Tensor, ...]) -> Tensor:
        return z


class DEQ4IP(ReconstructionModel):
    """The fixed point of one unrolled stage, found by Anderson acceleration.

    BatchNorm normalises with its running statistics in both solves, so that the map stands still and no
    sample sees its batch-mates; the statistics move once an optimiser step, at the fixed point.

    Args:
        channels: image channels C.
        policy: see ``ReconstructionModel``.
        solver: for the forward and the backward fixed point.

    Source: Gilton, Ongie and Willett 2021 (DE-Prox); LUSER, Sec. 2.2.
    """

    supports_auxiliary_loss = False  # there is one stage only

    def __init__(self, channels: int, *, policy: Policy = "paper", solver: Anderson = SOLVER) -> None:
        super().__init__(channels, policy)
        self.solver = solver
        # Small, since the iteration accumulates the correction; not zero, since ReLU passes no gradient there.
        self.network = DnCNN(channels, last_scale=0.01)
        self.norm = SpectralNorm(self.network)

    def forward(self, y: Tensor, operator: LinearOperator) -> Reconstruction:
        """Reconstruct a batch; see ``ReconstructionModel.forward``."""
        if self.training:
            self.norm.update(self.network)
        # Statistics travel with the weights, as copies: they move before the backward pass reads them.
        statistics = {name: buffer.clone() for name, buffer in self.network.named_buffers()}
        weights = self.norm.weights(self.network)
        state = weights | statistics
        image, stats = implicit_fixed_point(
            _Iteration(self.network, tuple(state), operator),
            (y, self.step_size, *state.values()),
            starting_image(y, operator),
            forward_solver=self.solver,
            backward_solver=self.solver,
            policy=self.policy,
        )
        if self.training:
            self._update_statistics(image.detach(), y, operator, weights)
        return Reconstruction(image, (image,), (stats,))

    @torch.no_grad()
    def _update_statistics(
        self, image: Tensor, y: Tensor, operator: LinearOperator, weights: dict[str, Tensor]
    ) -> None:
        d = gradient_step(image, y, operator, self.step_size)
        self.network.train()
        functional_call(self.network, weights, (d,))
        self.network.eval()

    def train(self, mode: bool = True) -> "DEQ4IP":
        """Set the model's mode; its BatchNorm layers always normalise with running statistics."""
        super().train(mode)
        self.network.eval()
        return self
