"""The operators of other libraries, as a user of theirs would call them, on our batches and our geometry."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from itertools import chain
from math import ceil
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import fft, ndimage
from skimage.transform import iradon
from skimage.transform import radon as skimage_radon
from torch import Tensor, nn

from operators import GaussianBlur, LinearOperator, Radon, SubsampledFourier
from operators.deepinv_physics import import_deepinv
from operators.joseph import ParallelBeam
from operators.tables import ComplexTables

Apply = Callable[[Tensor], Tensor]
Method = tuple[str, str]
"""Library and method."""

DISTRIBUTIONS = {"astra": "astra-toolbox", "deepinv": "deepinv", "scikit-image": "scikit-image", "scipy": "scipy"}
"""Library -> the name that it is installed by."""

_MODULES = {"scikit-image": "skimage"}
_IMPORTS: dict[str, Callable[[], object]] = {"astra": lambda: import_module("astra"), "deepinv": import_deepinv}


def _same(batch: Tensor) -> Tensor:
    return batch


@dataclass(frozen=True)
class Peer:
    """A library's implementation of an operator; what moves between layouts stays out of the timed calls.

    Attributes:
        forward: images (B, *image_shape) -> measurements in the library's layout.
        adjoint: the other way round; some libraries scale it in their own way.
        to_peer: our measurements -> the library's layout, and its detectors.
        to_ours: the other way round.
        owners: modules whose tables the library keeps.
    """

    forward: Apply
    adjoint: Apply
    to_peer: Apply = _same
    to_ours: Apply = _same
    owners: tuple[nn.Module, ...] = ()

    @property
    def stored_bytes(self) -> int:
        """Bytes of all tables that are kept, each counted once."""
        storages = {table.untyped_storage().data_ptr(): table.untyped_storage() for table in self._tables()}
        return sum(storage.nbytes() for storage in storages.values())

    def _tables(self) -> Iterator[Tensor]:
        for owner in self.owners:
            yield from chain(owner.buffers(), owner.parameters())
            for module in owner.modules():
                for value in vars(module).values():
                    yield from value.made if isinstance(value, ComplexTables) else ()


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
        candidates["astra", f"linear, {threads} threads"] = lambda radon: _astra(radon, threads)
    order = list(DISTRIBUTIONS)
    names = sorted((name for name in candidates if is_installed(name[0])), key=lambda name: order.index(name[0]))
    for library in {library for library, _ in names}:
        _IMPORTS.get(library, lambda: None)()  # here, so that building an operator isn't charged for it
    return {name: candidates[name] for name in names}


def is_installed(library: str) -> bool:
    """Whether a library, named as in ``DISTRIBUTIONS``, can be imported."""
    return find_spec(_MODULES.get(library, library)) is not None


def ours(operator: LinearOperator) -> Peer:
    """Return our own operator in the same form."""
    return Peer(operator, operator.adjoint, owners=(operator,))


def _astra(operator: LinearOperator, threads: int) -> Peer:
    """ASTRA's Joseph projector; its code for CPUs has one thread and releases the GIL, so we split the angles."""
    from operators.radon_astra import AstraProjector

    assert isinstance(operator, Radon)
    parts = [AstraProjector(operator.geometry, angles) for angles in np.array_split(operator.angles, threads)]
    parts = [part.to(operator.device) for part in parts]
    if threads == 1:
        return Peer(parts[0].project, parts[0].project_back)
    sizes, pool = [part.data_shape[1] for part in parts], ThreadPoolExecutor(threads)

    def forward(x: Tensor) -> Tensor:
        return torch.cat(list(pool.map(lambda part: part.project(x), parts)), dim=2)

    def adjoint(y: Tensor) -> Tensor:
        images = pool.map(lambda part, rows: part.project_back(rows), parts, y.split(sizes, dim=2))
        return torch.stack(list(images)).sum(dim=0)

    return Peer(forward, adjoint)


def _skimage_radon(operator: LinearOperator) -> Peer:
    assert isinstance(operator, Radon)
    theta, size = np.degrees(operator.angles), operator.image_shape[-1]

    def forward(x: Tensor) -> Tensor:
        return _each(lambda image: skimage_radon(image, theta=theta, circle=False), x)

    def adjoint(y: Tensor) -> Tensor:
        options = {"theta": theta, "output_size": size, "filter_name": None, "circle": False}
        return _each(lambda sinogram: iradon(sinogram, **options), y)

    return _with_own_detectors(operator, Peer(forward, adjoint), shift=0)


def _deepinv_radon(operator: LinearOperator) -> Peer:
    assert isinstance(operator, Radon)
    angles = torch.as_tensor(np.degrees(operator.angles), dtype=torch.float32, device=operator.device)
    physics = import_deepinv().physics.Tomography(
        angles=angles, img_width=operator.image_shape[-1], normalize=False, device=operator.device
    )
    # It turns the padded image about its centre, which for an even side lies half a pixel before pixel D' // 2.
    shift = 0.5 if _own_detectors(operator) % 2 == 0 else 0.0
    return _with_own_detectors(operator, Peer(physics.A, physics.A_adjoint, owners=(physics,)), shift)


def _own_detectors(operator: Radon) -> int:
    """Return D' of scikit-image and deepinv, whose detectors lie a pixel apart and cover the diagonal."""
    return ceil(2**0.5 * operator.image_shape[-1])


def _with_own_detectors(operator: Radon, peer: Peer, shift: float) -> Peer:
    """Compare on our detectors what scikit-image and deepinv measure on theirs, (B, 1, D', T).

    Args:
        operator: ours.
        peer: theirs; its detector D' // 2 - shift sees the centre of rotation.
        shift: the centre of rotation is pixel N // 2 - shift, in both directions.
    """
    geometry: ParallelBeam = operator.geometry
    size, count = operator.image_shape[-1], _own_detectors(operator)
    ours = (np.arange(geometry.num_detectors) - (geometry.num_detectors - 1) / 2) * geometry.detector_spacing
    off_centre = (size // 2 - shift - (size - 1) / 2) * (np.cos(operator.angles) - np.sin(operator.angles))
    theirs = np.arange(count) - (count // 2 - shift) + off_centre[:, None]

    def to_peer(y: Tensor) -> Tensor:
        return _resample(y, [(row, ours) for row in theirs]).mT.contiguous()

    def to_ours(y: Tensor) -> Tensor:
        return _resample(y.mT, [(ours, row) for row in theirs])

    return replace(peer, to_peer=to_peer, to_ours=to_ours)


def _resample(sinograms: Tensor, places: list[tuple[NDArray[Any], NDArray[Any]]]) -> Tensor:
    """Interpolate (B, 1, T, D), angle by angle, at the first places of a pair given values at the second."""

    def one(sinogram: NDArray[Any]) -> NDArray[Any]:
        rows = zip(places, sinogram, strict=True)
        return np.stack([np.interp(at, known, row, left=0, right=0) for (at, known), row in rows])

    return _each(one, sinograms).to(sinograms.device, torch.float32)


def _each(apply: Callable[[NDArray[Any]], NDArray[Any]], batch: Tensor) -> Tensor:
    """Apply a function of one 2-D array to every image of (B, 1, H, W)."""
    return torch.from_numpy(np.stack([apply(image)[None] for (image,) in batch.cpu().numpy()]))


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
    "radon": {("deepinv", ""): _deepinv_radon},
    "blur": {("deepinv", ""): _deepinv_blur},
    "fourier": {("deepinv", ""): _deepinv_fourier},
}
_ON_CPU: dict[str, dict[Method, Build]] = {
    "radon": {
        ("astra", "linear, 1 thread"): lambda operator: _astra(operator, 1),
        ("scikit-image", ""): _skimage_radon,
    },
    "blur": {("scipy", ""): _scipy_blur},
    "fourier": {("scipy", ""): _scipy_fourier},
}
_ON_CUDA: dict[str, dict[Method, Build]] = {
    "radon": {("astra", "CUDA"): lambda operator: _astra(operator, 1)},
    "blur": {},
    "fourier": {},
}
