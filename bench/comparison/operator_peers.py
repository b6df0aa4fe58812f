"""The operators of the installed libraries, called on our batches as their users would call them."""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any, cast

import torch
from scipy import fft, ndimage
from torch import Tensor

from bench.comparison.peer_operator import Peer
from bench.comparison.radon_peers import astra_radon, deepinv_radon, scikit_image_radon
from operators import GaussianBlur, LinearOperator, SubsampledFourier
from operators.bridges.deepinv import import_deepinv

Method = tuple[str, str]
"""Library and method."""

DISTRIBUTIONS = {"astra": "astra-toolbox", "deepinv": "deepinv", "scikit-image": "scikit-image", "scipy": "scipy"}
"""Library -> the name that it is installed by."""

_MODULES = {"scikit-image": "skimage"}
_IMPORTS: dict[str, Callable[[], object]] = {"astra": lambda: import_module("astra"), "deepinv": import_deepinv}

Build = Callable[[LinearOperator], Peer]


def peers(operator: str, device: torch.device) -> dict[Method, Build]:
    """Return what builds each installed library's implementation, by library and method.

    Args:
        operator: ``radon``, ``blur`` or ``fourier``.
        device: libraries that know the CPU alone are left out elsewhere.
    """
    on_cpu = device.type == "cpu"
    candidates = dict(_EVERYWHERE[operator]) | (_ON_CPU[operator] if on_cpu else _ON_CUDA[operator])
    threads = torch.get_num_threads()
    if operator == "radon" and on_cpu and threads > 1:
        candidates["astra", f"linear, {threads} threads"] = lambda radon: astra_radon(radon, threads)
    order = list(DISTRIBUTIONS)
    names = sorted((name for name in candidates if is_installed(name[0])), key=lambda name: order.index(name[0]))
    for library in {library for library, _ in names}:
        _IMPORTS.get(library, lambda: None)()  # here, so that building an operator isn't charged for it
    return {name: candidates[name] for name in names}


def is_installed(library: str) -> bool:
    """Whether a library, named as in ``DISTRIBUTIONS``, can be imported."""
    return find_spec(_MODULES.get(library, library)) is not None


def _scipy_blur(operator: LinearOperator) -> Peer:
    options: dict[str, Any] = {"sigma": (0, 0, 5**0.5, 5**0.5), "truncate": 4 / 5**0.5, "mode": "constant"}

    def blur(batch: Tensor) -> Tensor:
        return torch.from_numpy(ndimage.gaussian_filter(batch.numpy(), **options))

    return Peer(blur, blur)


def _deepinv_blur(operator: LinearOperator) -> Peer:
    taps = torch.tensor(cast(GaussianBlur, operator).taps, dtype=torch.float32, device=operator.device)
    physics = import_deepinv().physics.Blur(
        filter=torch.outer(taps, taps)[None, None], padding="constant", device=operator.device
    )
    return Peer(physics.A, physics.A_adjoint, owners=(physics,))


def _scipy_fourier(operator: LinearOperator) -> Peer:
    mask, axes = cast(SubsampledFourier, operator).sampling_mask.numpy(), (-2, -1)
    options: dict[str, Any] = {"axes": axes, "norm": "ortho", "workers": torch.get_num_threads()}

    def forward(x: Tensor) -> Tensor:
        image = fft.ifftshift(torch.complex(x[:, 0], x[:, 1]).numpy(), axes=axes)
        return torch.from_numpy(mask * fft.fftshift(fft.fft2(image, **options), axes=axes))

    def adjoint(y: Tensor) -> Tensor:
        image = fft.ifft2(fft.ifftshift(mask * y.numpy(), axes=axes), **options)
        return torch.view_as_real(torch.from_numpy(fft.fftshift(image, axes=axes))).movedim(-1, 1)

    return Peer(forward, adjoint)


def _deepinv_fourier(operator: LinearOperator) -> Peer:
    mask = cast(SubsampledFourier, operator).sampling_mask.float().expand(1, *operator.image_shape)
    physics = import_deepinv().physics.MRI(mask=mask, img_size=operator.image_shape, device=operator.device)

    def to_peer(y: Tensor) -> Tensor:
        return torch.view_as_real(y).movedim(-1, 1)

    def to_ours(y: Tensor) -> Tensor:
        return torch.complex(y[:, 0], y[:, 1])

    return Peer(physics.A, physics.A_adjoint, to_peer, to_ours, (physics,))


_EVERYWHERE: dict[str, dict[Method, Build]] = {
    "radon": {("deepinv", ""): deepinv_radon},
    "blur": {("deepinv", ""): _deepinv_blur},
    "fourier": {("deepinv", ""): _deepinv_fourier},
}
_ON_CPU: dict[str, dict[Method, Build]] = {
    "radon": {
        ("astra", "linear, 1 thread"): lambda operator: astra_radon(operator, 1),
        ("scikit-image", ""): scikit_image_radon,
    },
    "blur": {("scipy", ""): _scipy_blur},
    "fourier": {("scipy", ""): _scipy_fourier},
}
_ON_CUDA: dict[str, dict[Method, Build]] = {
    "radon": {("astra", "CUDA"): lambda operator: astra_radon(operator, 1)},
    "blur": {},
    "fourier": {},
}
