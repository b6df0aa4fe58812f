"""LU-DnCNN: loop unrolling with a 17-layer DnCNN shared by all stages."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import Tensor
from torch.utils.checkpoint import checkpoint

from models.base import (
    NUM_STAGES,
    Policy,
    Reconstruction,
    ReconstructionModel,
    gradient_step,
)
from models.networks import DnCNN
from operators import ForwardOperator, phase
from operators.validation import require_count


class LuDnCNN(ReconstructionModel):
    """K stages x <- d + DnCNN(d) with d the gradient step; all graphs are kept, or each stage is checkpointed.

    Args:
        channels: image channels C.
        num_stages: K, at least 1.
        policy: ``paper`` keeps every activation; ``recompute`` checkpoints each stage.

    Source: LUSER, Sec. 4.1.

    Examples:
        >>> import torch
        >>> from models import LuDnCNN
        >>> from operators import GaussianBlur
        >>> operator = GaussianBlur((16, 16))
        >>> model = LuDnCNN(channels=3, num_stages=2)
        >>> len(model(operator(torch.rand(1, 3, 16, 16)), operator).stages)
        2
    """

    def __init__(self, channels: int, *, num_stages: int = NUM_STAGES, policy: Policy = "recompute") -> None:
        super().__init__(channels, policy)
        self.num_stages = require_count("num_stages", num_stages)
        # A near-identity start, as LUSER and DEQ4IP have by theirs, for a fair comparison.
        self.network = DnCNN(channels, last_scale=0.01, stages=num_stages)

    def forward(self, y: Tensor, operator: ForwardOperator) -> Reconstruction:
        """Reconstruct a batch; see ``ReconstructionModel.forward``."""

        def stage(x: Tensor, index: int) -> Tensor:
            d = gradient_step(x, y, operator, self.step_size)
            return d + self.network(d, index)

        x = self.starting_image(y, operator)
        images: list[Tensor] = []
        for index in range(self.num_stages):
            if self.policy == "recompute" and self.training:
                x = checkpoint(
                    stage, x, index, use_reentrant=False, preserve_rng_state=False, context_fn=self._contexts
                )
            else:
                x = stage(x, index)
            images.append(x)
        return Reconstruction(x, tuple(images))

    def denoise(self, noisy: Tensor) -> Tensor:
        """Apply the network alone, as a denoiser of images (B, C, H, W): pretraining trains it."""
        return noisy + self.network(noisy)

    def end_pretraining(self) -> None:
        """Let every stage begin with the statistics of the first, which the denoiser used."""
        for norm in self.network.norms:
            for statistics in (norm.running_mean, norm.running_var):
                statistics.copy_(statistics[:1].expand_as(statistics))

    def freeze_statistics(self) -> None:
        """Normalise by the running statistics from now on, in training as in evaluation."""
        for norm in self.network.norms:
            norm.frozen = True

    def _contexts(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _Rebuilding(self.network)


class _Rebuilding(AbstractContextManager[None]):
    """A stage is rebuilt in the backward pass: BatchNorm must not move its statistics a second time.

    It is entered once per backward pass; a retained graph has several.
    """

    def __init__(self, network: DnCNN) -> None:
        self.norms = network.norms

    def __enter__(self) -> None:
        self._phase = phase("backward")
        self._phase.__enter__()
        self._momenta = [norm.momentum for norm in self.norms]
        for norm in self.norms:
            norm.momentum = 0.0

    def __exit__(self, *error: Any) -> None:
        for norm, momentum in zip(self.norms, self._momenta, strict=True):
            norm.momentum = momentum
        self._phase.__exit__(*error)
