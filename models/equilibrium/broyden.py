"""Broyden's method for fixed points."""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.equilibrium.fixed_point import History, SampleWiseSolver, algebra_dtype
from operators.validation import require_count

ASTRAY = 10.0
"""An iterate whose |f(z) - z| exceeds its sample's smallest by this factor is taken back."""

LONGEST_STEP = 400.0
"""Bound on a step, in units of |f(z) - z|. Where f is nonexpansive a step of s changes f(z) - z by 2 s at most, so
that no iterate exceeds the smallest |f(z) - z| by more than 10 (1 + 2 * 400), which is less than ``DIVERGENCE``."""


@dataclass(frozen=True, kw_only=True)
class Broyden(SampleWiseSolver):
    """Broyden's first ("good") method on g(z) = f(z) - z, with a low-rank inverse Jacobian per sample.

    The inverse starts as -I, so that the first step is a plain one, and gains one rank per step. Once it is full it
    restarts from the last step alone: a rank corrects those before it and has no meaning without them. A sample whose
    step is taken back drops its ranks and takes a plain step from where it was. There is no line search: it would let a
    sample's step depend on the evaluations of others.

    Attributes:
        history: greatest number of ranks, at least 1.

    Raises:
        ValueError: if ``history`` is below 1.

    Source: Broyden 1965; Bai et al. 2019 use it for deep-equilibrium models.

    Examples:
        >>> import torch
        >>> from models import Broyden, fixed_point
        >>> found = fixed_point(torch.cos, torch.zeros(1, 3), solver=Broyden(max_steps=50, tolerance=1e-6))
        >>> found.outcome.value, round(float(found.value[0, 0]), 4)
        ('converged', 0.7391)
    """

    history: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count("history", self.history)

    def _begin(self, z: Tensor) -> History:
        return _LowRank(self.history, z)


class _LowRank(History):
    """H = -I + sum of u_i v_i^T, the inverse Jacobian of b samples."""

    def __init__(self, history: int, z: Tensor) -> None:
        self.dtype = algebra_dtype(z.dtype)
        self.left = z.new_zeros(len(z), history, z.shape[1], dtype=self.dtype)  # u_i
        self.right = torch.zeros_like(self.left)  # v_i
        self.ranks = 0
        self.previous: tuple[Tensor, Tensor] | None = None  # z and g(z) of the last step that was not taken back
        self.smallest = self.left.new_full((len(z), 1), torch.inf)  # |g(z)|
        self.plain = torch.ones(len(z), 1, dtype=torch.bool, device=z.device)  # whether the last step was to be kept

    def keep(self, rows: Tensor) -> None:
        self.left, self.right = self.left[rows], self.right[rows]
        self.smallest, self.plain = self.smallest[rows], self.plain[rows]
        if self.previous is not None:
            self.previous = self.previous[0][rows], self.previous[1][rows]

    def propose(self, z: Tensor, value: Tensor, difference: Tensor) -> Tensor:
        dtype = z.dtype
        z, difference = z.to(self.dtype), difference.to(self.dtype)
        distance = torch.linalg.vector_norm(difference, dim=1, keepdim=True)
        if self.previous is not None:
            self._learn(z - self.previous[0], difference - self.previous[1])
            astray = (distance > ASTRAY * self.smallest) & ~self.plain
            self.left.masked_fill_(astray[:, :, None], 0)
            z = torch.where(astray, self.previous[0], z)
            difference = torch.where(astray, self.previous[1], difference)
            self.plain = astray  # a plain step has no better one to go back to
        self.smallest = torch.minimum(self.smallest, distance)
        self.previous = z, difference
        return (z - self._bounded(self._times(self.left, self.right, difference), difference)).to(dtype)

    def _learn(self, step: Tensor, change: Tensor) -> None:
        """Correct H by one rank, so that it maps ``change`` of g to the ``step`` of z that caused it."""
        if self.ranks == self.left.shape[1]:
            self.ranks = 0
        row = self._times(self.right, self.left, step)
        column = step - self._times(self.left, self.right, change)
        column = column / (row * change).sum(dim=1, keepdim=True)
        # A sample whose correction is not finite keeps the H it has.
        sound = column.isfinite().all(dim=1, keepdim=True) & row.isfinite().all(dim=1, keepdim=True)
        self.left[:, self.ranks] = torch.where(sound, column, 0.0)
        self.right[:, self.ranks] = torch.where(sound, row, 0.0)
        self.ranks += 1

    def _bounded(self, step: Tensor, difference: Tensor) -> Tensor:
        """Shorten in place what is longer than ``LONGEST_STEP``."""
        length, distance = (torch.linalg.vector_norm(t, dim=1, keepdim=True) for t in (step, difference))
        step *= torch.where(length > LONGEST_STEP * distance, LONGEST_STEP * distance / length, 1.0)
        return step

    def _times(self, left: Tensor, right: Tensor, vector: Tensor) -> Tensor:
        """Return (-I + sum of left_i right_i^T) vector, all (b, N)."""
        products = torch.bmm(vector[:, None, :], right[:, : self.ranks].transpose(1, 2))
        return torch.bmm(products, left[:, : self.ranks]).squeeze(1) - vector
