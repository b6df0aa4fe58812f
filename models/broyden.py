"""Broyden's method for fixed points."""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.fixed_point import Memory, SampleWiseSolver


@dataclass(frozen=True, kw_only=True)
class Broyden(SampleWiseSolver):
    """Broyden's first ("good") method on g(z) = f(z) - z, with a low-rank inverse Jacobian a sample.

    The inverse starts as -I, so that the first step is a plain one, and learns one rank a step. There is no
    line search: it would let a sample's step depend on its batch-mates' evaluations.

    Attributes:
        history: ranks that are kept; the oldest is overwritten.

    Source: Broyden 1965; Bai et al. 2019 use it for deep-equilibrium models.
    """

    history: int = 10

    def _begin(self, z: Tensor) -> Memory:
        return _LowRank(self.history, z)


class _LowRank(Memory):
    """H = -I + sum of u_i v_i^T, the inverse Jacobian of b samples."""

    def __init__(self, history: int, z: Tensor) -> None:
        self.left = z.new_zeros(len(z), history, z.shape[1])  # u_i
        self.right = torch.zeros_like(self.left)  # v_i
        self.previous = torch.zeros_like(z), torch.zeros_like(z)  # z and g(z) of the step before
        self.count = -1  # ranks learnt; the first step teaches none

    def keep(self, rows: Tensor) -> None:
        self.left, self.right = self.left[rows], self.right[rows]
        self.previous = self.previous[0][rows], self.previous[1][rows]

    def propose(self, z: Tensor, value: Tensor, difference: Tensor) -> Tensor:
        if self.count >= 0:
            self._learn(z - self.previous[0], difference - self.previous[1])
        self.count += 1
        self.previous = z, difference
        return z - self._times(self.left, self.right, difference)

    def _learn(self, step: Tensor, change: Tensor) -> None:
        """Correct H by one rank, so that it maps ``change`` of g to the ``step`` of z that caused it."""
        slot = self.count % self.left.shape[1]
        self.left[:, slot] = 0
        row = self._times(self.right, self.left, step)
        column = step - self._times(self.left, self.right, change)
        column = column / (row * change).sum(dim=1, keepdim=True)
        # A sample whose correction is not finite keeps the H it has.
        sound = column.isfinite().all(dim=1, keepdim=True) & row.isfinite().all(dim=1, keepdim=True)
        self.left[:, slot] = torch.where(sound, column, 0.0)
        self.right[:, slot] = torch.where(sound, row, 0.0)

    def _times(self, left: Tensor, right: Tensor, vector: Tensor) -> Tensor:
        """Return (-I + sum of left_i right_i^T) vector, all (b, N)."""
        ranks = min(self.count, left.shape[1])
        products = torch.bmm(vector[:, None, :], right[:, :ranks].transpose(1, 2))
        return torch.bmm(products, left[:, :ranks]).squeeze(1) - vector
