"""Spectral normalisation that is frozen while a fixed point is solved."""

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from operators.validation import require_count

SpectralKind = Literal["matrix", "convolution"]
SPECTRAL_KINDS: tuple[SpectralKind, ...] = get_args(SpectralKind)

FIELD = 16
"""Side in pixels of the images on which a convolution's norm is found; see ``SpectralNorm``."""

START_ITERATIONS = 100


class SpectralNorm(nn.Module):
    """Normalises every convolution of a network by its largest singular value.

    The singular vectors start converged and move only in ``update``, by power iteration, once per optimiser step;
    ``weights`` is a pure function in between, so that solve, evaluation and recomputation all see the same map.

    There are two norms. ``matrix``, the default, is that of the weight reshaped to (C_out, C_in * kH * kW):
    PyTorch's and Miyato's, hence in all likelihood the paper's. The convolution it leaves has a norm of 1.5
    (64 -> 64 channels) to 2.2 (3 -> 32), at initial weights. ``convolution`` is the norm of the zero-padded
    convolution itself on images of ``FIELD`` x ``FIELD`` pixels, 1 % below that on large ones. Neither makes
    LUSER's map a contraction, since a GroupNorm amplifies what varies little.

    Args:
        network: the network whose ``nn.Conv2d`` weights are to be normalised; it is not modified.
        kind: ``matrix`` or ``convolution``.

    Raises:
        ValueError: if the kind is unknown.

    Source: Miyato et al. 2018; LUSER, Sec. 4.1 wraps every convolution of DEQ4IP and LUSER. The convolution's
    norm: Ryu et al. 2019, Sec. 4 (real spectral normalisation).
    """

    def __init__(self, network: nn.Module, kind: SpectralKind = "matrix") -> None:
        super().__init__()
        if kind not in SPECTRAL_KINDS:
            raise ValueError(f"unknown spectral norm {kind!r}; known: {', '.join(SPECTRAL_KINDS)}")
        self.kind = kind
        modules = [(name, module) for name, module in network.named_modules() if isinstance(module, nn.Conv2d)]
        self._names = [f"{name}.weight" for name, _ in modules]
        self._paddings = [module.padding for _, module in modules]
        for index, name in enumerate(self._names):
            left, right = self._start(network.get_parameter(name).detach(), index)
            self.register_buffer(f"left_{index}", left)
            self.register_buffer(f"right_{index}", right)

    @torch.no_grad()
    def update(self, network: nn.Module, iterations: int = 1) -> None:
        """Move the singular vectors by power iterations on the network's present weights."""
        require_count("iterations", iterations)
        for index, name in enumerate(self._names):
            left, right = self.get_buffer(f"left_{index}"), self.get_buffer(f"right_{index}")
            with torch.autocast(left.device.type, enabled=False):
                for _ in range(iterations):
                    self._iterate(network.get_parameter(name), left, right, index)

    def weights(self, network: nn.Module) -> dict[str, Tensor]:
        """Return all parameters of the network by name, convolution weights divided by their norms.

        The result is differentiable with respect to the network's parameters.
        """
        normalised: dict[str, Tensor] = dict(network.named_parameters())
        for index, name in enumerate(self._names):
            # The vectors are copied: the graph keeps them, and update() moves them in place.
            left, right = (self.get_buffer(f"{side}_{index}").clone() for side in ("left", "right"))
            weight = normalised[name]
            with torch.autocast(weight.device.type, enabled=False):
                normalised[name] = weight / torch.sum(left * self._apply_weight(weight, right, index))
        return normalised

    def _start(self, weight: Tensor, index: int) -> tuple[Tensor, Tensor]:
        if self.kind == "matrix":
            left, _, right = torch.linalg.svd(weight.flatten(1), full_matrices=False)
            return left[:, 0].clone(), right[0].clone()
        generator = torch.Generator().manual_seed(index)
        noise = torch.randn(1, weight.shape[0], FIELD, FIELD, generator=generator, dtype=weight.dtype)
        left = noise.to(weight.device)
        right = torch.empty_like(self._apply_transposed(weight, left, index))
        for _ in range(START_ITERATIONS):
            self._iterate(weight, left, right, index)
        return left, right

    def _iterate(self, weight: Tensor, left: Tensor, right: Tensor, index: int) -> None:
        right.copy_(_unit(self._apply_transposed(weight, left, index)))
        left.copy_(_unit(self._apply_weight(weight, right, index)))

    def _apply_weight(self, weight: Tensor, right: Tensor, index: int) -> Tensor:
        if self.kind == "matrix":
            return weight.flatten(1) @ right
        return F.conv2d(right, weight, padding=self._paddings[index])

    def _apply_transposed(self, weight: Tensor, left: Tensor, index: int) -> Tensor:
        if self.kind == "matrix":
            return weight.flatten(1).T @ left
        padding = self._paddings[index]
        assert not isinstance(padding, str)
        return F.conv_transpose2d(left, weight, padding=padding)


def _unit(vector: Tensor) -> Tensor:
    return vector / torch.linalg.vector_norm(vector).clamp_min(torch.finfo(vector.dtype).tiny)
