"""LUSER: loop unrolling with a shallow equilibrium regulariser, shared (SW) or different (DW) weights."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from models.base import NUM_STAGES, Policy, Reconstruction, gradient_step
from models.equilibrium.anderson import Anderson
from models.equilibrium.fixed_point import FixedPointSolver
from models.equilibrium.gradients import GradientRule, Unrolled
from models.equilibrium.implicit import Solve
from models.equilibrium.problem import Context, FixedPointProblem
from models.equilibrium_model import EquilibriumModel, Stage
from models.networks import EquilibriumBlock
from models.spectral import SpectralKind, SpectralNorm
from operators import ForwardOperator
from operators.validation import require_count

SOLVER = Anderson(max_steps=12, tolerance=1e-3)


class _Regulariser(FixedPointProblem):
    """The regulariser after the gradient step d: r* = Mix(Data(r*) (+) Inject(d)), output d + r* (Eq. 7)."""

    def __init__(self, block: EquilibriumBlock, names: tuple[str, ...]) -> None:
        self.block, self.names = block, names

    def prepare(self, *inputs: Tensor) -> Context:
        d, *weights = inputs
        injection = functional_call(self.block.inject, self._named(weights, "inject."), (d,))
        return Context((d, injection), tuple(weights))

    def step(self, z: Tensor, context: Context) -> Tensor:
        return functional_call(self.block, self._named(context.shared), (z, context.samples[1]))

    def sparing_step(self, z: Tensor, context: Context) -> Tensor:
        weights = self._named(context.shared)
        return functional_call(self.block, weights, (z, context.samples[1]), {"sparing": True})

    def finish(self, z: Tensor, context: Context) -> Tensor:
        return context.samples[0] + z

    def fixed_point_of(self, output: Tensor, context: Context) -> Tensor:
        return output - context.samples[0]

    def _named(self, weights: Sequence[Tensor], prefix: str = "") -> dict[str, Tensor]:
        pairs = zip(self.names, weights, strict=True)
        return {name.removeprefix(prefix): weight for name, weight in pairs if name.startswith(prefix)}


class _StageMap(_Regulariser):
    """One stage: d = gradient step, then the regulariser."""

    def __init__(self, block: EquilibriumBlock, names: tuple[str, ...], operator: ForwardOperator) -> None:
        super().__init__(block, names)
        self.operator = operator

    def prepare(self, *inputs: Tensor) -> Context:
        x, y, step_size, *weights = inputs
        return super().prepare(gradient_step(x, y, self.operator, step_size), *weights)


class Luser(EquilibriumModel):
    """K stages over one block or over K blocks.

    Args:
        channels: image channels C.
        num_stages: K, at least 1.
        policy: see ``ReconstructionModel``.
        solver: for the forward and the backward fixed points.
        gradient: see ``EquilibriumModel``.
        spectral: see ``SpectralNorm``.
        warm_start: start a stage's solve at the r* of the stage before; the paper starts each at zero, since
            r* tends to zero as x_k tends to the truth.

    Source: LUSER, Sec. 3.
    """

    shared_weights: ClassVar[bool]

    def __init__(
        self,
        channels: int,
        *,
        num_stages: int = NUM_STAGES,
        policy: Policy = "recompute",
        solver: FixedPointSolver = SOLVER,
        gradient: GradientRule | Unrolled | None = None,
        spectral: SpectralKind = "matrix",
        warm_start: bool = False,
    ) -> None:
        super().__init__(channels, policy=policy, solver=solver, gradient=gradient)
        self.num_stages = require_count("num_stages", num_stages)
        self.warm_start = warm_start
        num_blocks = 1 if self.shared_weights else num_stages
        self.blocks = nn.ModuleList(EquilibriumBlock(channels) for _ in range(num_blocks))
        self.norms = nn.ModuleList(SpectralNorm(block, spectral) for block in self.blocks)

    def forward(self, y: Tensor, operator: ForwardOperator) -> Reconstruction:
        """Reconstruct a batch; see ``ReconstructionModel.forward``."""
        if self.training:
            for index in range(len(self.blocks)):
                self._norm(index).update(self.blocks[index])
        weights = [self._weights(index) for index in range(len(self.blocks))]
        x = self.starting_image(y, operator)
        z = torch.zeros_like(x)
        images: list[Tensor] = []
        solves: list[Solve] = []
        for k in range(self.num_stages):
            stage = self._problem(k, x, y, operator, weights[k % len(weights)])
            x, solved, solve = self._solve(stage, z)
            z = solved if self.warm_start else z
            images.append(x)
            solves.append(solve)
        return Reconstruction(x, tuple(images), tuple(solves))

    def denoise(self, noisy: Tensor) -> Tensor:
        """Apply the first stage's regulariser alone, as a denoiser of images (B, C, H, W): pretraining trains it."""
        if self.training:
            self._norm(0).update(self.blocks[0])
        weights = self._weights(0)
        problem = _Regulariser(self._block(0), tuple(weights))
        return self._solve((problem, (noisy, *weights.values())), torch.zeros_like(noisy)).output

    def end_pretraining(self) -> None:
        """Copy the first stage's state to every stage."""
        for block, norm in zip(self.blocks[1:], self.norms[1:], strict=True):
            block.load_state_dict(self.blocks[0].state_dict())
            norm.load_state_dict(self.norms[0].state_dict())

    def _problem(self, k: int, x: Tensor, y: Tensor, operator: ForwardOperator, weights: dict[str, Tensor]) -> Stage:
        problem = _StageMap(self._block(k % len(self.blocks)), tuple(weights), operator)
        return problem, (x, y, self.step_size, *weights.values())

    def stage(self, k: int, x: Tensor, y: Tensor, operator: ForwardOperator) -> Stage:
        """Return stage k from the images x, (B, C, H, W), with the weights as they are."""
        return self._problem(k, x, y, operator, self._weights(k % len(self.blocks)))

    def _finished_stage(self, index: int, y: Tensor, operator: ForwardOperator, result: Reconstruction) -> Stage:
        x = result.stages[index - 1] if index else self.starting_image(y, operator)
        return self.stage(index, x.detach(), y, operator)

    def _weights(self, index: int) -> dict[str, Tensor]:
        return self._norm(index).weights(self.blocks[index])

    def _block(self, index: int) -> EquilibriumBlock:
        block = self.blocks[index]
        assert isinstance(block, EquilibriumBlock)
        return block

    def _norm(self, index: int) -> SpectralNorm:
        norm = self.norms[index]
        assert isinstance(norm, SpectralNorm)
        return norm


class LuserSW(Luser):
    """LUSER with one block shared by all stages; arguments as for every LUSER."""

    shared_weights = True


class LuserDW(Luser):
    """LUSER with a block of its own for every stage; arguments as for every LUSER.

    Examples:
        >>> import torch
        >>> from models import LuserDW
        >>> from operators import Radon
        >>> operator = Radon(image_shape=(16, 16), num_angles=8, num_detectors=23)
        >>> model = LuserDW(channels=1, num_stages=2)
        >>> result = model(operator(torch.rand(2, 1, 16, 16)), operator)
        >>> result.image.shape, len(result.stages), [bool(solve.forward.converged.all()) for solve in result.solves]
        (torch.Size([2, 1, 16, 16]), 2, [True, True])
    """

    shared_weights = False
    counts_operator = False  # Table 3: 770,073 = 8 * 96,259 + 1, without the blur's 243 values.
