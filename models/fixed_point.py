"""Anderson acceleration of fixed-point iterations, each sample of a batch on its own."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from models.base import SolveStats

EPSILON = 1e-12


@dataclass(frozen=True)
class FixedPointSolution:
    """The best iterate of every sample and how it was reached.

    Attributes:
        z: (B, ...), shaped like the start.
        stats: steps, residual and converged per sample.
    """

    z: Tensor
    stats: SolveStats


@dataclass(frozen=True)
class Anderson:
    """Solves z = f(z) by Anderson acceleration (type II), z and f(z) being (B, ...).

    A sample that has converged, or whose map value is not finite, keeps its iterate: no sample's result
    depends on its batch-mates. The iterate with the smallest residual is returned.

    Attributes:
        max_steps: bound on map evaluations.
        tolerance: relative residual |f(z) - z| / |f(z)| at which a sample is done. Zero never stops early and
            never looks at a value, so that the solve can be traced without data.
        history: number of past iterates m.
        mixing: beta; 1 takes the combination of map values alone.
        ridge: Tikhonov term relative to the mean diagonal of the Gram matrix.
        check_every: steps between looks at whether all samples are done (each one waits for the device).

    Source: Walker and Ni 2011; LUSER, Sec. 3 uses it for every fixed point.
    """

    max_steps: int
    tolerance: float
    history: int = 5
    mixing: float = 1.0
    ridge: float = 1e-4
    check_every: int = 2

    @torch.no_grad()
    def __call__(self, f: Callable[[Tensor], Tensor], start: Tensor) -> FixedPointSolution:
        """Solve from ``start``, (B, ...), with at least one evaluation of ``f``."""
        state = _State(start, self.history)
        for step in range(self.max_steps):
            state.evaluate(f, self.tolerance)
            if step + 1 == self.max_steps:
                break
            if self.tolerance > 0 and step % self.check_every == self.check_every - 1 and state.all_done():
                break
            state.advance(self._combine(state))
        stats = SolveStats(state.steps, state.best_residual, state.best_residual <= self.tolerance)
        return FixedPointSolution(state.best.view_as(start), stats)

    def _combine(self, state: "_State") -> Tensor:
        """The next iterate (B, N): the affine combination of history with the smallest residual."""
        filled = state.filled
        gram = state.gram[:, :filled, :filled]
        diagonal = gram.diagonal(dim1=1, dim2=2)
        ridge = self.ridge * diagonal.mean(dim=1, keepdim=True) + torch.finfo(gram.dtype).tiny
        regularised = gram + torch.diag_embed(ridge.expand_as(diagonal))
        ones = gram.new_ones(len(gram), filled, 1)
        alpha = torch.linalg.solve_ex(regularised, ones).result
        alpha = alpha / alpha.sum(dim=1, keepdim=True)
        # Where the system is singular to working precision the sample takes a plain step.
        plain = torch.zeros_like(alpha)
        plain[:, state.newest] = 1
        alpha = torch.where(alpha.isfinite().all(dim=1, keepdim=True), alpha, plain)
        weights = alpha.transpose(1, 2)
        combined = torch.bmm(weights, state.values[:, :filled])
        if self.mixing != 1:
            combined -= (1 - self.mixing) * torch.bmm(weights, state.differences[:, :filled])
        return combined.squeeze(1)


class _State:
    """Iterates, history and Gram matrix of one solve; N is the size of one sample."""

    def __init__(self, start: Tensor, history: int) -> None:
        batch = len(start)
        self.shape = start.shape
        self.z = start.reshape(batch, -1)
        self.best = self.z
        self.best_residual = self.z.new_full((batch,), torch.inf)
        self.steps = torch.zeros(batch, dtype=torch.long, device=start.device)
        self.active = torch.ones(batch, dtype=torch.bool, device=start.device)
        self.values = self.z.new_zeros(batch, history, self.z.shape[1])  # f(z) of the last m iterates
        self.differences = torch.zeros_like(self.values)  # f(z) - z
        self.gram = self.z.new_zeros(batch, history, history)
        self.count = 0

    @property
    def filled(self) -> int:
        return min(self.count, self.values.shape[1])

    @property
    def newest(self) -> int:
        return (self.count - 1) % self.values.shape[1]

    def evaluate(self, f: Callable[[Tensor], Tensor], tolerance: float) -> None:
        """Apply the map, remember the best iterate of every active sample and update the Gram matrix by one row."""
        value = f(self.z.view(self.shape)).reshape(self.z.shape)
        difference = value - self.z
        residual = difference.norm(dim=1) / (value.norm(dim=1) + EPSILON)
        self.steps += self.active
        better = self.active & (residual < self.best_residual)
        self.best = torch.where(better[:, None], self.z, self.best)
        self.best_residual = torch.where(better, residual, self.best_residual)
        self.active = self.active & residual.isfinite() & (residual > tolerance)
        slot = self.count % self.values.shape[1]
        self.values[:, slot], self.differences[:, slot] = value, difference
        row = torch.bmm(self.differences, difference[:, :, None]).squeeze(2)
        self.gram[:, slot, :], self.gram[:, :, slot] = row, row
        self.count += 1

    def advance(self, candidate: Tensor) -> None:
        """Move the active samples; the others stay where they are best."""
        self.z = torch.where(self.active[:, None], candidate, self.best)

    def all_done(self) -> bool:
        return not bool(self.active.any())
