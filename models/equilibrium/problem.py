"""The equation z = step(z, context) as pure functions of explicit tensors."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Context:
    """What every application of a map uses besides z.

    Attributes:
        samples: tensors with one row per sample, (B, ...).
        shared: tensors that all samples share, such as weights.
    """

    samples: tuple[Tensor, ...]
    shared: tuple[Tensor, ...] = ()

    def select(self, rows: Tensor) -> "Context":
        """Return the context of some samples, ``rows`` being their places in the batch."""
        return Context(tuple(tensor[rows] for tensor in self.samples), self.shared)

    def detach(self) -> "Context":
        """Return the same values without a graph."""
        return Context(tuple(t.detach() for t in self.samples), tuple(t.detach() for t in self.shared))


class FixedPointProblem(ABC):
    """A fixed point and what surrounds it: ``output = finish(z*, prepare(*inputs))``.

    Everything that needs a gradient is among ``inputs``; no sample may depend on another.

    Attributes:
        whole_batch: whether a step is defined for the whole batch alone; samples that are done then stay in it.
    """

    whole_batch: bool = False

    @abstractmethod
    def prepare(self, *inputs: Tensor) -> Context:
        """Compute once per solve what every step uses."""

    @abstractmethod
    def step(self, z: Tensor, context: Context) -> Tensor:
        """Apply the map once; z and the result are (B, ...)."""

    def sparing_step(self, z: Tensor, context: Context) -> Tensor:
        """Apply the map as ``step`` does, to rounding, with a graph that keeps little and is differentiable once."""
        return self.step(z, context)

    @abstractmethod
    def finish(self, z: Tensor, context: Context) -> Tensor:
        """Turn the fixed point into the output."""

    @abstractmethod
    def fixed_point_of(self, output: Tensor, context: Context) -> Tensor:
        """Invert ``finish``: return the fixed point that gives an output."""
