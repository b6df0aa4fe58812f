"""Anderson acceleration of fixed-point iterations."""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.equilibrium.fixed_point import History, SampleWiseSolver, algebra_dtype
from operators.validation import require_count, require_number

CARRIED = 2
"""Iterates that outlive a full history. A sliding window, which drops one iterate per step, loses what was learnt about
the slow directions: with a history of 5, at a spectral radius of 0.99, it takes more than twice the steps."""


@dataclass(frozen=True, kw_only=True)
class Anderson(SampleWiseSolver):
    """Takes the affine combination of the last map values whose combined residual is smallest (type II).

    A full history is replaced by its last two iterates.

    Attributes:
        history: greatest number of iterates that are combined, m, at least 1.
        mixing: beta, above 0; 1 takes the combination of map values alone, 0 would take that of the iterates and so
            never move.
        ridge: each diagonal entry of the Gram matrix grows by this factor: relative to the residual's own size,
            so that the newest is regularised no more than the oldest, however much they shrink. Not negative.

    Raises:
        ValueError: if one of them is out of range.

    Source: Walker and Ni 2011; LUSER, Sec. 3 uses it for every fixed point.

    Examples:
        >>> import torch
        >>> from models import Anderson, Picard, fixed_point
        >>> f, z0 = lambda z: torch.cos(z), torch.zeros(1, 3)
        >>> solvers = [method(max_steps=50, tolerance=1e-6) for method in (Picard, Anderson)]
        >>> plain, fast = (int(fixed_point(f, z0, solver=solver).steps) for solver in solvers)
        >>> plain > 30, fast < 15
        (True, True)
    """

    history: int = 5
    mixing: float = 1.0
    ridge: float = 1e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count("history", self.history)
        require_number("mixing", self.mixing, above=0)
        require_number("ridge", self.ridge, at_least=0)

    def _begin(self, z: Tensor) -> History:
        return _AndersonHistory(self, z)


class _AndersonHistory(History):
    """The last m map values and residuals of b samples, and the residuals' Gram matrix."""

    def __init__(self, solver: Anderson, z: Tensor) -> None:
        size = solver.history
        self.solver = solver
        self.values = z.new_empty(len(z), size, z.shape[1])
        self.differences = torch.empty_like(self.values)
        self.dtype = algebra_dtype(z.dtype)
        self.gram = z.new_zeros(len(z), size, size, dtype=self.dtype)
        self.identity = torch.eye(size, dtype=self.dtype, device=z.device)
        self.ridged = 1 + solver.ridge * self.identity
        self.ones = self.gram.new_ones(len(z), size, 1)
        self.count = 0

    def difference(self, value: Tensor, z: Tensor) -> Tensor:
        if self.count == self.solver.history:
            self._restart()
        return torch.sub(value, z, out=self.differences[:, self.count])

    def _restart(self) -> None:
        """Keep the last iterates only, in the first places."""
        self.count = min(CARRIED, self.solver.history - 1)
        last = slice(self.solver.history - self.count, None)
        self.gram[:, : self.count, : self.count] = self.gram[:, last, last].clone()
        for place in range(self.count):  # one by one: the places may overlap
            for kept in (self.values, self.differences):
                kept[:, place] = kept[:, place - self.count]

    def keep(self, rows: Tensor) -> None:
        self.values, self.differences, self.gram = self.values[rows], self.differences[rows], self.gram[rows]
        self.ones = self.ones[rows]

    def propose(self, z: Tensor, value: Tensor, difference: Tensor) -> Tensor:
        newest = self.count
        filled = self.count = newest + 1
        self.values[:, newest] = value
        # One row per step: the other products have not changed. A row times a matrix: the CPU's batched matrix
        # times column is ten times slower.
        differences = self.differences[:, :filled].to(self.dtype)
        row = torch.bmm(difference[:, None, :].to(self.dtype), differences.transpose(1, 2)).squeeze(1)
        row *= self.ridged[newest, :filled]
        self.gram[:, newest, :filled], self.gram[:, :filled, newest] = row, row
        if filled == 1 and self.solver.mixing == 1:
            return value  # the only combination there is
        weights = self._weights(newest, filled)
        combined = torch.bmm(weights, self.values[:, :filled].to(self.dtype))
        if self.solver.mixing != 1:
            combined -= (1 - self.solver.mixing) * torch.bmm(weights, differences)
        return combined.squeeze(1).to(z.dtype)

    def _weights(self, newest: int, filled: int) -> Tensor:
        """Return the combination's weights (b, 1, filled); their sum is 1."""
        alpha = torch.linalg.solve_ex(self.gram[:, :filled, :filled], self.ones[:, :filled]).result
        alpha = alpha / alpha.sum(dim=1, keepdim=True)
        # Where the system is singular to working precision the sum is not a number: a plain step.
        sound = alpha.sum(dim=1, keepdim=True) > 0
        return torch.where(sound, alpha, self.identity[newest, :filled, None]).transpose(1, 2)
