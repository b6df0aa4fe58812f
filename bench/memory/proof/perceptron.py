"""The random multilayer perceptrons of published trainings on an A100.

Source: GPUMemNet, github.com/itu-rad/GPUMemNet, Datasets/MLP: the name of a run's file says how its network is built.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

Shape = Literal["pyramid", "uniform", "bottleneck", "gradual"]
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "identity": nn.Identity,
    "leaky_relu": nn.LeakyReLU,
    "mish": nn.Mish,
    "prelu": nn.PReLU,
    "relu": nn.ReLU,
    "selu": nn.SELU,
    "softplus": nn.Softplus,
    "swish": nn.SiLU,
    "tanh": nn.Tanh,
}
_NAME = re.compile(
    r"input:(\d+)_output:(\d+)_depth:(\d+)_arch:(pyramid|uniform|bottleneck|gradual)_batch:(\d+)"
    r"_act:(\w+)_dropout:([\d.]+)_dropout:(True|False)_batchnorm:(True|False)\.out"
)


@dataclass(frozen=True)
class Perceptron:
    """One run's network and batch.

    Attributes:
        inputs: features of a sample.
        outputs: classes; 1 for a yes or no.
        depth: hidden layers, bottlenecks have one more.
        shape: course of their widths.
        batch: samples per step.
        activation: key of ``ACTIVATIONS``.
        dropout: share of values dropped behind every hidden layer; None for no dropout.
        normalised: whether a BatchNorm follows every hidden layer.
    """

    inputs: int
    outputs: int
    depth: int
    shape: Shape
    batch: int
    activation: str
    dropout: float | None
    normalised: bool

    @classmethod
    def named(cls, name: str) -> "Perceptron":
        """Return the perceptron of a run's name.

        Raises:
            ValueError: if it is not the name of a perceptron, or one with an unknown activation.
        """
        found = _NAME.fullmatch(name)
        if found is None or found[6] not in ACTIVATIONS:
            raise ValueError(f"not the name of a perceptron: {name}")
        inputs, outputs, depth, batch = (int(found[place]) for place in (1, 2, 3, 5))
        shape: Shape = found[4]  # type: ignore[assignment]  # the pattern allows no other
        dropout = float(found[7]) if found[8] == "True" else None
        return cls(inputs, outputs, depth, shape, batch, found[6], dropout, found[9] == "True")

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return (self.inputs,)

    @property
    def widths(self) -> tuple[int, ...]:
        """Features after every hidden layer."""
        if self.shape == "uniform":
            return (self.inputs,) * self.depth
        if self.shape == "gradual":
            fall = (self.inputs - self.outputs) // self.depth
            return tuple(self.inputs - fall * place for place in range(1, self.depth + 1))
        count = self.depth + (self.shape == "bottleneck")
        return tuple(max(self.inputs >> place, self.outputs) for place in range(1, count + 1))

    def network(self) -> nn.Sequential:
        """Build the network, with the softmax or sigmoid at its end."""
        layers: list[nn.Module] = []
        before = self.inputs
        for width in self.widths:
            layers.append(nn.Linear(before, width))
            if self.normalised:
                layers.append(nn.BatchNorm1d(width))
            layers.append(ACTIVATIONS[self.activation]())
            if self.dropout is not None:
                layers.append(nn.Dropout(self.dropout))
            before = width
        end = nn.Sigmoid() if self.outputs == 1 else nn.Softmax(dim=1)
        return nn.Sequential(*layers, nn.Linear(before, self.outputs), end)

    def make_step(self, batch: int) -> Callable[[], None]:
        """Build network, Adam and data; return what runs one training step of ``batch`` samples."""
        network = self.network()
        optimizer = torch.optim.Adam(network.parameters(), foreach=True)
        samples = torch.zeros(batch, self.inputs)
        yes = self.outputs == 1
        labels = torch.zeros(batch, 1) if yes else torch.zeros(batch, dtype=torch.int64)
        loss = F.binary_cross_entropy_with_logits if yes else F.cross_entropy

        def step() -> None:
            optimizer.zero_grad()
            loss(network(samples), labels).backward()
            optimizer.step()

        return step
