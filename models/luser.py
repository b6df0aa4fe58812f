"""LUSER: loop unrolling with a shallow equilibrium regulariser, shared (SW) or different (DW) weights."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from models.base import (
    NUM_STAGES,
    Policy,
    Reconstruction,
    ReconstructionModel,
    SolveStats,
    gradient_step,
    starting_image,
)
from models.fixed_point import Anderson
from models.implicit import FixedPointProblem, implicit_fixed_point
from models.networks import EquilibriumBlock
from models.spectral import SpectralNorm
from operators import LinearOperator

SOLVER = Anderson(max_steps=12, tolerance=1e-3)


class _Stage(FixedPointProblem):
    """One stage: d = gradient step, r* = Mix(Data(r*) (+) Inject(d)), output d + r* (Eq. 7)."""

    def __init__(self, block: EquilibriumBlock, names: tuple[str, ...], operator: LinearOperator) -> None:
        self.block, self.names, self.operator = block, names, operator

    def prepare(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        x, y, step_size, *weights = inputs
        d = gradient_step(x, y, self.operator, step_size)
        injection = functional_call(self.block.inject, self._named(weights, "inject."), (d,))
        return d, injection, *weights

    def step(self, z: Tensor, context: tuple[Tensor, ...]) -> Tensor:
        _, injection, *weights = context
        return functional_call(self.block, self._named(weights), (z, injection))

    def finish(self, z: Tensor, context: tuple[Tensor, ...]) -> Tensor:
        return context[0] + z

    def _named(self, weights: list[Tensor], prefix: str = "") -> dict[str, Tensor]:
        pairs = zip(self.names, weights, strict=True)
        return {name.removeprefix(prefix): weight for name, weight in pairs if name.startswith(prefix)}


class _Luser(ReconstructionModel):
    """K stages over one block or over K blocks.

    Args:
        channels: image channels C.
        num_stages: K.
        policy: see ``ReconstructionModel``.
        solver: for the forward and the backward fixed points.

    Source: LUSER, Sec. 3.
    """

    shared_weights: ClassVar[bool]

    def __init__(
        self,
        channels: int,
        *,
        num_stages: int = NUM_STAGES,
        policy: Policy = "paper",
        solver: Anderson = SOLVER,
    ) -> None:
        super().__init__(channels, policy)
        self.num_stages = num_stages
        self.solver = solver
        num_blocks = 1 if self.shared_weights else num_stages
        self.blocks = nn.ModuleList(EquilibriumBlock(channels) for _ in range(num_blocks))
        self.norms = nn.ModuleList(SpectralNorm(block) for block in self.blocks)

    def forward(self, y: Tensor, operator: LinearOperator) -> Reconstruction:
        """Reconstruct a batch; see ``ReconstructionModel.forward``."""
        weights = [self._frozen_weights(block, norm) for block, norm in zip(self.blocks, self.norms, strict=True)]
        x = starting_image(y, operator)
        images: list[Tensor] = []
        solves: list[SolveStats] = []
        for k in range(self.num_stages):
            named = weights[k % len(weights)]
            block = self.blocks[k % len(weights)]
            assert isinstance(block, EquilibriumBlock)
            x, stats = implicit_fixed_point(
                _Stage(block, tuple(named), operator),
                (x, y, self.step_size, *named.values()),
                # The residual tends to zero as x_k tends to the truth, hence the paper's start r_0 = 0.
                torch.zeros_like(x),
                forward_solver=self.solver,
                backward_solver=self.solver,
                policy=self.policy,
            )
            images.append(x)
            solves.append(stats)
        return Reconstruction(x, tuple(images), tuple(solves))

    def _frozen_weights(self, block: nn.Module, norm: nn.Module) -> dict[str, Tensor]:
        assert isinstance(norm, SpectralNorm)
        if self.training:
            norm.update(block)
        return norm.weights(block)


class LuserSW(_Luser):
    """LUSER with one block shared by all stages; arguments as for every LUSER."""

    shared_weights = True


class LuserDW(_Luser):
    """LUSER with a block of its own for every stage; arguments as for every LUSER."""

    shared_weights = False
    counts_operator = False  # Table 3: 770,073 = 8 * 96,259 + 1, without the blur's 243 values.
