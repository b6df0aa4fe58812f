"""Spectral normalisation that stands still while a fixed point is solved."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SpectralNorm(nn.Module):
    """Normalises every convolution of a network by its largest singular value.

    The singular vectors start exact and move only in ``update``, by power iteration, once an optimiser step;
    ``weights`` is a pure function in between, so that solve, evaluation and recomputation all see the same
    map. The norm is that of the weight reshaped to (C_out, C_in * 9), PyTorch's and Miyato's convention, not
    of the convolution, which can be up to 1.5 times larger.

    Args:
        network: the network whose ``nn.Conv2d`` weights are to be normalised; it is not modified.

    Source: Miyato et al. 2018; LUSER, Sec. 4.1 wraps every convolution of DEQ4IP and LUSER.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._names = [f"{name}.weight" for name, module in network.named_modules() if isinstance(module, nn.Conv2d)]
        for index, name in enumerate(self._names):
            left, _, right = torch.linalg.svd(network.get_parameter(name).detach().flatten(1), full_matrices=False)
            self.register_buffer(f"left_{index}", left[:, 0].clone())
            self.register_buffer(f"right_{index}", right[0].clone())

    @torch.no_grad()
    def update(self, network: nn.Module, iterations: int = 1) -> None:
        """Move the singular vectors by power iterations on the network's present weights."""
        for index, name in enumerate(self._names):
            weight = network.get_parameter(name).flatten(1)
            left, right = self.get_buffer(f"left_{index}"), self.get_buffer(f"right_{index}")
            for _ in range(iterations):
                right.copy_(F.normalize(weight.T @ left, dim=0))
                left.copy_(F.normalize(weight @ right, dim=0))

    def weights(self, network: nn.Module) -> dict[str, Tensor]:
        """Return all parameters of the network by name, convolution weights divided by their norms.

        The result is differentiable with respect to the network's parameters.
        """
        normalised: dict[str, Tensor] = dict(network.named_parameters())
        for index, name in enumerate(self._names):
            # The vectors are copied: the graph keeps them, and update() moves them in place.
            left, right = (self.get_buffer(f"{side}_{index}").clone() for side in ("left", "right"))
            weight = normalised[name]
            normalised[name] = weight / torch.dot(left, weight.flatten(1) @ right)
        return normalised
