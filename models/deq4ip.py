"""DEQ4IP: the whole proximal-gradient iteration as one deep-equilibrium model."""

import torch
from torch import Tensor
from torch.func import functional_call

from models.base import Policy, Reconstruction, gradient_step
from models.equilibrium.anderson import Anderson
from models.equilibrium.fixed_point import FixedPointSolver
from models.equilibrium.gradients import GradientRule, Unrolled
from models.equilibrium.problem import Context, FixedPointProblem
from models.equilibrium_model import EquilibriumModel, Stage
from models.networks import DnCNN
from models.spectral import SpectralKind, SpectralNorm
from operators import ForwardOperator

SOLVER = Anderson(max_steps=50, tolerance=1e-3, ridge=0.1)
"""The paper's 50 iterations. What A does not see changes little, and equally from step to step. With a ridge of 1e-4,
Anderson extrapolates that to a far-away fixed point: small MRI images lose 3 to 10 dB within 24 training steps."""


class _Iteration(FixedPointProblem):
    """x = d + DnCNN(d), d = gradient step of x."""

    def __init__(self, network: DnCNN, names: tuple[str, ...], operator: ForwardOperator) -> None:
        self.network, self.names, self.operator = network, names, operator

    def prepare(self, *inputs: Tensor) -> Context:
        y, *shared = inputs
        return Context((y,), tuple(shared))

    def step(self, z: Tensor, context: Context) -> Tensor:
        step_size, *weights = context.shared
        d = gradient_step(z, context.samples[0], self.operator, step_size)
        return d + functional_call(self.network, dict(zip(self.names, weights, strict=True)), (d,))

    def finish(self, z: Tensor, context: Context) -> Tensor:
        return z

    def fixed_point_of(self, output: Tensor, context: Context) -> Tensor:
        return output


class DEQ4IP(EquilibriumModel):
    """The fixed point of one unrolled stage, found by Anderson acceleration.

    BatchNorm normalises with its running statistics in both solves, so that the map stays the same and no sample
    depends on others of its batch; the statistics move once per optimiser step, at the fixed point, until
    ``end_pretraining``.

    Args:
        channels: image channels C.
        policy: see ``ReconstructionModel``.
        solver: for the forward and the backward fixed point.
        gradient: see ``EquilibriumModel``.
        spectral: see ``SpectralNorm``.

    Source: Gilton, Ongie and Willett 2021 (DE-Prox); LUSER, Sec. 2.2.

    Examples:
        >>> import torch
        >>> from models import DEQ4IP, Anderson
        >>> from operators import GaussianBlur
        >>> operator = GaussianBlur((16, 16))
        >>> model = DEQ4IP(channels=3, solver=Anderson(max_steps=20, tolerance=1e-2, ridge=0.1))
        >>> model(operator(torch.rand(1, 3, 16, 16)), operator).image.shape
        torch.Size([1, 3, 16, 16])
    """

    supports_auxiliary_loss = False  # there is one stage only

    def __init__(
        self,
        channels: int,
        *,
        policy: Policy = "recompute",
        solver: FixedPointSolver = SOLVER,
        gradient: GradientRule | Unrolled | None = None,
        spectral: SpectralKind = "matrix",
    ) -> None:
        super().__init__(channels, policy=policy, solver=solver, gradient=gradient)
        # Small, since the iteration accumulates the correction; not zero, since ReLU passes no gradient there.
        self.network = DnCNN(channels, last_scale=0.01)
        self.norm = SpectralNorm(self.network, spectral)
        self._statistics_move = True

    def forward(self, y: Tensor, operator: ForwardOperator) -> Reconstruction:
        """Reconstruct a batch; see ``ReconstructionModel.forward``."""
        if self.training:
            self.norm.update(self.network)
        weights = self.norm.weights(self.network)
        image, _, solve = self._solve(self._problem(y, operator, weights), self.starting_image(y, operator))
        if self.training and self._statistics_move:
            self._update_statistics(image.detach(), y, operator, weights)
        return Reconstruction(image, (image,), (solve,))

    def denoise(self, noisy: Tensor) -> Tensor:
        """Apply the network alone, as a denoiser of images (B, C, H, W): pretraining trains it.

        In training mode the spectral norm's vectors and BatchNorm's statistics move, as in a training step.
        """
        if not self.training:
            return noisy + functional_call(self.network, self.norm.weights(self.network), (noisy,))
        self.norm.update(self.network)
        return noisy + self._with_batch_statistics(self.norm.weights(self.network), noisy)

    def end_pretraining(self) -> None:
        """Freeze BatchNorm's statistics as they are: those of noisy images, once the network is a denoiser.

        Fixed points are smoother than what a denoiser was trained on. Statistics that follow them make its
        features larger from step to step, until the map has no fixed point left.
        """
        self._statistics_move = False

    def _problem(self, y: Tensor, operator: ForwardOperator, weights: dict[str, Tensor]) -> Stage:
        # Statistics travel with the weights, as copies: they move before the backward pass reads them.
        state = weights | {name: buffer.clone() for name, buffer in self.network.named_buffers()}
        return _Iteration(self.network, tuple(state), operator), (y, self.step_size, *state.values())

    def _finished_stage(self, index: int, y: Tensor, operator: ForwardOperator, result: Reconstruction) -> Stage:
        return self._problem(y, operator, self.norm.weights(self.network))

    @torch.no_grad()
    def _update_statistics(
        self, image: Tensor, y: Tensor, operator: ForwardOperator, weights: dict[str, Tensor]
    ) -> None:
        self._with_batch_statistics(weights, gradient_step(image, y, operator, self.step_size))

    def _with_batch_statistics(self, weights: dict[str, Tensor], images: Tensor) -> Tensor:
        """Apply the network normalised by the batch's own statistics, and move the running ones."""
        self.network.train()
        try:
            return functional_call(self.network, weights, (images,))
        finally:
            self.network.eval()

    def train(self, mode: bool = True) -> "DEQ4IP":
        """Set the model's mode; its BatchNorm layers normalise with running statistics in every solve."""
        super().train(mode)
        self.network.eval()
        return self
