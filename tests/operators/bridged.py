"""Other libraries' operators as the contract tests see them: how each is made, and all that may change in it."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from operators import from_deepinv, from_scipy
from operators.bridges.deepinv import import_deepinv

SIDE = 6  # of images, square for deepinv's tomography
DOUBLE = torch.float64


@dataclass(frozen=True)
class Bridged:
    """One operator of another library.

    Attributes:
        make: makes it, in double precision.
        bridge: makes an operator of ours of it.
        changes: by name, what changes it, keeping its shapes.
        learnable: its tensor that may want gradients, if it has one.
        tolerance: how precisely it computes.
    """

    make: Callable[[], Any]
    bridge: Callable[[Any], Any]
    changes: dict[str, Callable[[Any], Any]] = field(default_factory=dict)
    learnable: str | None = None
    tolerance: float = 1e-11

    def operator(self):
        """Make it, and an operator of ours of it; skips the test where its library is not installed."""
        return self.bridge(self.make())


def numbers(*shape):
    return torch.rand(shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(3)) + 0.1


def loaded(physics):
    """Load other values into all buffers, as from a file."""
    physics.load_state_dict({name: 2 * value for name, value in physics.state_dict().items()})


def physics(name, channels=1, **options):
    """A physics of deepinv; made when a test runs, since the library may not be installed."""

    def make():
        if importlib.util.find_spec("deepinv") is None:
            pytest.skip("the extra deepinv is not installed")
        return getattr(import_deepinv().physics, name)(**{k: v() if callable(v) else v for k, v in options.items()})

    return make, lambda made: from_deepinv(made, image_shape=(channels, SIDE, SIDE))


def pylops(make):
    return lambda: make(pytest.importorskip("pylops", reason="the extra pylops is not installed")), from_scipy


def stack(pylops):
    first = pylops.MatrixMult(numbers(4, SIDE).numpy(), otherdims=(SIDE,))
    return pylops.VStack([first, pylops.Diagonal(numbers(SIDE, SIDE).numpy().ravel())])


FILTER = {"filter": lambda: numbers(1, 1, 3, 3)}
FILTERS = {
    "update": lambda physics: physics.update(filter=2 * numbers(1, 1, 3, 3).mT),
    "in place": lambda physics: physics.filter.mul_(3),
    "replaced": lambda physics: setattr(physics, "filter", numbers(1, 1, 3, 3).flip(-1) * 2),
    "loaded": loaded,
}
MASKS = {
    "update": lambda physics: physics.update(mask=2 * numbers(*physics.mask.shape).flip(-1)),
    "in place": lambda physics: physics.mask[:, :, :3].mul_(3),
    "loaded": loaded,
}
IMAGE = {"img_size": (1, SIDE, SIDE)}
DEEPINV = {
    "Blur": Bridged(*physics("Blur", **FILTER, padding="circular"), FILTERS, "filter"),
    "Blur, FFT": Bridged(*physics("Blur", **FILTER, padding="reflect", use_fft=True), FILTERS, "filter"),
    "BlurFFT": Bridged(
        *physics("BlurFFT", **FILTER, **IMAGE),
        {"update": FILTERS["update"], "in place": lambda physics: physics.mask.mul_(3)},
        "mask",
    ),
    "MRI": Bridged(*physics("MRI", 2, mask=lambda: numbers(1, 2, SIDE, SIDE), img_size=(2, SIDE, SIDE)), MASKS, "mask"),
    "Tomography": Bridged(
        *physics("Tomography", angles=5, img_width=SIDE, normalize=False, dtype=DOUBLE),
        {
            "in place": lambda physics: physics.radon.all_grids.mul_(0.8),
        },
    ),
    "Tomography, normalised": Bridged(
        *physics("Tomography", angles=5, img_width=SIDE, normalize=True),
        {
            "in place": lambda physics: physics.operator_norm.mul_(2),
            "switched off": lambda physics: setattr(physics, "normalize", False),
            "loaded": loaded,
        },
        tolerance=1e-5,
    ),
    "Inpainting": Bridged(*physics("Inpainting", **IMAGE, mask=lambda: numbers(1, SIDE, SIDE)), MASKS, "mask"),
    "Downsampling": Bridged(*physics("Downsampling", **FILTER, **IMAGE, factor=2), FILTERS, "filter"),
    "CompressedSensing": Bridged(
        *physics("CompressedSensing", m=7, **IMAGE, dtype=DOUBLE, rng=lambda: torch.Generator().manual_seed(0)),
        {"in place": lambda physics: physics._A.mul_(2)},
    ),
}
PYLOPS = {
    "FFT2D": Bridged(*pylops(lambda lops: lops.signalprocessing.FFT2D((SIDE, SIDE)))),
    "FFT2D, real": Bridged(*pylops(lambda lops: lops.signalprocessing.FFT2D((SIDE, SIDE), real=True))),
    "Convolve2D": Bridged(
        *pylops(lambda lops: lops.signalprocessing.Convolve2D((SIDE, SIDE), numbers(3, 3).numpy(), offset=(1, 1))),
        {"in place": lambda lop: lop.h.__imul__(2)},
    ),
    "Identity": Bridged(*pylops(lambda lops: lops.Identity(SIDE * SIDE))),
    "VStack": Bridged(
        *pylops(stack),
        {
            "in place": lambda lop: lop.ops[0].A.__imul__(2),
            "the other": lambda lop: lop.ops[1].diag.__imul__(3),
        },
    ),
}
BRIDGED = DEEPINV | PYLOPS
