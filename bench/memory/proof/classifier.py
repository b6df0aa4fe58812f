"""The image classifiers of published trainings on an A100.

Source: GPUMemNet, github.com/itu-rad/GPUMemNet: Adam, cross-entropy, float32 with PyTorch's default flags.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from bench.records import MIB
from operators.bridges.deepinv import import_torchvision

CONTEXT_BYTES = (1449 + 294) * MIB
"""What a process takes outside its allocator, on the same machine, fitted to other runs.

1,449 MiB is the perceptrons' constant; cuDNN's kernels take 294 MiB more, the median of seven light networks of the
same source's timm_training.csv at batch 8 (MobileNet V2 and V3, EfficientNet-B0, MnasNet, LCNet, TinyNet).
"""


@dataclass(frozen=True)
class Classifier:
    """One run's network and batch.

    Attributes:
        name: of the network in its library; what follows a space explains it.
        library: ``torchvision`` or ``timm``.
        image: side of an image in pixels.
        classes: number of classes.
        batch: images per step.
    """

    name: str
    library: str
    image: int
    classes: int
    batch: int

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one image."""
        return 3, self.image, self.image

    def network(self) -> nn.Module:
        """Build the network.

        Raises:
            ImportError: if its library is not installed.
            ValueError: if the library has no such network.
        """
        torchvision, name = import_torchvision(), self.name.partition(" ")[0]
        if self.library == "torchvision" and name in torchvision.models.list_models():
            options = {"aux_logits": False} if "no auxiliary logits" in self.name else {}
            made: nn.Module = torchvision.models.get_model(name, num_classes=self.classes, **options)
            return made
        if self.library == "timm":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of names that its newer versions write otherwise
                import timm

                if timm.is_model(name):
                    made = timm.create_model(name, num_classes=self.classes)
                    return made
        raise ValueError(f"{self.library} has no network {name!r}")

    def make_step(self, batch: int) -> Callable[[], None]:
        """Build network and Adam; return what loads ``batch`` images and runs one training step of them."""
        network = self.network()
        optimizer = torch.optim.Adam(network.parameters(), foreach=True)
        held: dict[
            str, torch.Tensor
        ] = {}  # like a loop's variables, it keeps the last step's images until the next are loaded

        def step() -> None:
            held["images"] = torch.empty(batch, 3, self.image, self.image)
            held["labels"] = torch.zeros(batch, dtype=torch.int64)
            optimizer.zero_grad()
            held["scores"] = network(held["images"])
            held["loss"] = F.cross_entropy(held["scores"], held["labels"])
            held["loss"].backward()
            optimizer.step()

        return step
