"""What the contract tests run over: every operator of the registry, and every option that changes the map."""

from functools import cache, partial

import torch

from operators import OPERATORS, GaussianBlur, SubsampledFourier
from tests.operators.algebra.formulas import FORMULAS

VARIANTS = OPERATORS | {
    "gaussian-blur-reflect": partial(GaussianBlur, boundary="reflect"),
    "gaussian-blur-circular": partial(GaussianBlur, boundary="circular"),
    "subsampled-fourier-equispaced": partial(SubsampledFourier, kind="equispaced", acceleration=3),
    "subsampled-fourier-fastmri": partial(SubsampledFourier, kind="fastmri", acceleration=2, center_fraction=0.25),
    "subsampled-fourier-full": partial(SubsampledFourier, acceleration=1),
    **FORMULAS,
}
TO_COMPLEX = {torch.float32: torch.complex64, torch.float64: torch.complex128}


@cache
def build(name, shape):
    return VARIANTS[name](image_shape=shape)


LINEAR = [name for name in VARIANTS if build(name, (4, 5)).linear]
NONLINEAR = [name for name in VARIANTS if name not in LINEAR]


def random_image(operator, batch=2, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, *operator.image_shape, dtype=dtype, generator=generator)


def random_data(operator, batch=2, dtype=torch.float64, seed=1):
    is_complex = operator(random_image(operator, 1)).is_complex()
    generator = torch.Generator().manual_seed(seed)
    dtype = TO_COMPLEX[dtype] if is_complex else dtype
    return torch.randn(batch, *operator.data_shape, dtype=dtype, generator=generator)


def inner(a, b):
    wide = torch.complex128 if a.is_complex() else torch.float64
    return float((a.to(wide).conj() * b.to(wide)).sum().real)


def norm_of(a):
    return inner(a, a) ** 0.5
