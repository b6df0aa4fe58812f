"""Fixed points z = f(z): the loop that every solver shares, independent per sample of a batch.

A method (``Picard``, ``Anderson``, ``Broyden``, one file each) only proposes the next iterates; this module decides for
all of them when a sample is done, which of its iterates is returned and what is reported.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from operators.validation import require_count, require_number

DIVERGENCE = 1e4
"""A sample whose |f(z) - z| exceeds its smallest by this factor is given up."""

Map = Callable[[Tensor], Tensor]
"""z -> f(z), both (B, ...); no sample may depend on another."""


@dataclass(frozen=True)
class SolveStats:
    """How one fixed-point solve went, for every sample of the batch.

    Attributes:
        steps: map evaluations until the sample converged, diverged or the bound was reached, (B,) int64.
        residual: relative residual |f(z) - z| / |f(z)| of the returned iterate, (B,).
        converged: whether the residual is below the tolerance, (B,) bool.
        diverged: whether the sample had a value that is not finite, or its |f(z) - z| grew ``DIVERGENCE``-fold,
            (B,) bool. A sample that is neither ran out of steps.
    """

    steps: Tensor
    residual: Tensor
    converged: Tensor
    diverged: Tensor

    @property
    def mean_steps(self) -> float:
        """The mean over the batch."""
        return float(self.steps.float().mean())

    @property
    def mean_residual(self) -> float:
        """The mean over the batch."""
        return float(self.residual.mean())


def algebra_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the precision of a solver's linear algebra for iterates of a dtype: float32 at least."""
    return torch.promote_types(dtype, torch.float32)


def residuals(value: Tensor, difference: Tensor) -> tuple[Tensor, Tensor]:
    """Return |f(z) - z| and its ratio to |f(z)|, (B,) each, from f(z) and f(z) - z, (B, ...)."""
    wide = algebra_dtype(value.dtype)
    distance, size = (torch.linalg.vector_norm(t.flatten(1), dim=1, dtype=wide) for t in (difference, value))
    return distance, distance / (size + torch.finfo(wide).tiny)


@dataclass(frozen=True)
class FixedPointSolution:
    """The best iterate of every sample and how it was reached.

    Attributes:
        z: (B, ...), shaped like the start.
        stats: steps, residual, converged and diverged per sample.
    """

    z: Tensor
    stats: SolveStats


class History(ABC):
    """What a method stores of one solve; b samples are left, each of size N."""

    def difference(self, value: Tensor, z: Tensor) -> Tensor:
        """Return f(z) - z, (b, N), in the memory that the method chooses."""
        return value - z

    @abstractmethod
    def propose(self, z: Tensor, value: Tensor, difference: Tensor) -> Tensor:
        """Return the next iterates from ``z``, ``value`` = f(z) and ``difference`` = f(z) - z, all (b, N)."""

    @abstractmethod
    def keep(self, rows: Tensor) -> None:
        """Forget all samples but those at ``rows``, an index tensor; called before ``propose``."""


@dataclass(frozen=True, kw_only=True)
class FixedPointSolver(ABC):
    """Solves z = f(z) for z of shape (B, ...).

    Attributes:
        max_steps: bound on map evaluations, at least 1.
        tolerance: relative residual |f(z) - z| / |f(z)| at which a sample is done; finite, not negative.

    Raises:
        ValueError: if either is out of range.
    """

    max_steps: int
    tolerance: float

    def __post_init__(self) -> None:
        require_count("max_steps", self.max_steps)
        require_number("tolerance", self.tolerance, at_least=0)

    @abstractmethod
    def __call__(self, f: Map, start: Tensor, select: Callable[[Tensor], Map] | None = None) -> FixedPointSolution:
        """Solve from ``start``.

        Args:
            f: the map on the whole batch.
            start: (B, ...), floating point.
            select: returns the map on some samples, named by their places in the batch, (b,) int64. A solver
                that is given none evaluates samples that are done along with the others, to no effect.
        """


@dataclass(frozen=True, kw_only=True)
class SampleWiseSolver(FixedPointSolver):
    """A solver that treats each sample of a batch as if it were alone.

    A sample is done when its relative residual reaches the tolerance, when it diverges, or after ``max_steps``;
    its result and its statistics are then final, whatever the others do. Once half of the samples are done, the
    others continue without them. The iterate with the smallest residual is returned. A tolerance of zero takes every
    step and never looks at a value, so that the solve can be traced without data.

    Attributes:
        check_every: steps between checks of which samples are done. Each check waits for the device. The CPU has no
            queue and checks after every step. No result depends on it.

    Raises:
        ValueError: if ``check_every`` is below 1.
    """

    check_every: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count("check_every", self.check_every)

    @torch.no_grad()
    def __call__(self, f: Map, start: Tensor, select: Callable[[Tensor], Map] | None = None) -> FixedPointSolution:
        """See ``FixedPointSolver.__call__``; the algebra never runs in autocast's lower precision."""
        with torch.autocast(start.device.type, enabled=False):
            return self._solve(f, start, select)

    def _solve(self, f: Map, start: Tensor, select: Callable[[Tensor], Map] | None) -> FixedPointSolution:
        samples = _Samples.at(start)
        memory = self._begin(samples.z)
        whole: _Samples | None = None
        for step in range(1, self.max_steps + 1):
            value = f(samples.z.view(-1, *start.shape[1:])).reshape(samples.z.shape)
            difference = memory.difference(value, samples.z)
            looks = self._looks(step, start.device)
            samples.observe(value, difference, self.tolerance, looks)
            if step == self.max_steps:
                break
            if looks:
                remaining = int(samples.active.sum())
                if remaining == 0:
                    break
                if select is not None and 2 * remaining <= len(samples.z):
                    rows = samples.active.nonzero().squeeze(1)
                    whole = samples.merged_into(whole)
                    samples = samples.at_rows(rows)
                    value, difference = value[rows], difference[rows]
                    memory.keep(rows)
                    f = select(samples.place)
            samples.z = memory.propose(samples.z, value, difference)
        samples = samples if whole is None else samples.merged_into(whole)
        return FixedPointSolution(samples.best.view_as(start), samples.stats(self.tolerance))

    def _looks(self, step: int, device: torch.device) -> bool:
        every = 1 if device.type == "cpu" else self.check_every
        return self.tolerance > 0 and step % every == 0

    @abstractmethod
    def _begin(self, z: Tensor) -> History:
        """Return an empty history for iterates like ``z``, (B, N), with all of its memory allocated."""


@dataclass
class _Samples:
    """The samples that are still iterated: b of the batch's B, each flattened to size N."""

    place: Tensor  # (b,) where each stands in the batch
    z: Tensor  # (b, N) where the map is evaluated next
    best: Tensor  # (b, N) the iterate with the smallest residual so far
    residual: Tensor  # (b,) its relative residual
    smallest: Tensor  # (b,) smallest |f(z) - z| so far
    steps: Tensor  # (b,) int64
    active: Tensor  # (b,) bool, neither converged nor diverged

    @classmethod
    def at(cls, start: Tensor) -> "_Samples":
        batch, device = len(start), start.device
        wide = algebra_dtype(start.dtype)
        z = start.reshape(batch, math.prod(start.shape[1:]))
        return cls(
            place=torch.arange(batch, device=device),
            z=z,
            best=z,
            residual=z.new_full((batch,), torch.inf, dtype=wide),
            smallest=z.new_full((batch,), torch.finfo(wide).max / DIVERGENCE, dtype=wide),
            steps=torch.zeros(batch, dtype=torch.long, device=device),
            active=torch.ones(batch, dtype=torch.bool, device=device),
        )

    def observe(self, value: Tensor, difference: Tensor, tolerance: float, looks: bool) -> None:
        """Update the samples by f(z) and f(z) - z: whose iterate is better, and which are done."""
        distance, residual = residuals(value, difference)
        self.steps += self.active
        better = self.active & (residual < self.residual)
        if looks and bool(better.all()):  # the usual case, in which nothing need be copied
            self.best = self.z
        else:
            self.best = torch.where(better[:, None], self.z, self.best)
        self.residual = torch.where(better, residual, self.residual)
        # Comparisons with nan are false, and no bound is infinite: what is not finite is out of bounds.
        self.active &= (distance <= DIVERGENCE * self.smallest) & (residual > tolerance)
        self.smallest = torch.minimum(self.smallest, distance)

    def at_rows(self, rows: Tensor) -> "_Samples":
        return _Samples(*(getattr(self, field.name)[rows] for field in fields(self)))

    def merged_into(self, whole: "_Samples | None") -> "_Samples":
        """Write these samples into the whole batch; they are the whole batch where there is none yet."""
        if whole is None:
            return replace(self, best=self.best.clone())  # it may be an iterate, or the caller's start
        for field in fields(self):
            if field.name != "z":
                getattr(whole, field.name)[self.place] = getattr(self, field.name)
        return whole

    def stats(self, tolerance: float) -> SolveStats:
        converged = self.residual <= tolerance
        return SolveStats(self.steps, self.residual, converged, diverged=~(self.active | converged))
