"""How long operators take beside other libraries' at the paper's sizes: use --benchmark-enable."""

import importlib.util
from functools import cache

import pytest
import torch

from operators import OPERATORS, Radon
from tests.benchmarks.peers import PEERS
from tests.operators.cases import VARIANTS

SHAPES = {"gaussian-blur": (218, 178), "subsampled-fourier": (320, 320), "radon": (362, 362), "diffraction": (128, 128)}
ARGUMENTS = {"radon": {"num_angles": 200, "num_detectors": 513}}
DIRECTIONS = ("forward", "adjoint")
TINY = 16

batches = pytest.mark.parametrize("batch", [1, 8])
directions = pytest.mark.parametrize("direction", DIRECTIONS)


@cache
def build(name, full_size):
    base = next(known for known in OPERATORS if name.startswith(known))
    if full_size:
        return VARIANTS[name](SHAPES[base], **ARGUMENTS.get(base, {}))
    return VARIANTS[name]((TINY, TINY))


@cache
def image(operator, batch):
    """Smooth images, (B, *image_shape): a sum of waves with the image's edges at zero."""
    *_, channels, height, width = operator.image_shape
    rows, columns = (torch.sin(torch.pi * (torch.arange(n) + 0.5) / n).square() for n in (height, width))
    strength = torch.linspace(0.5, 1, batch * channels).view(batch, channels, 1, 1)
    return (strength * torch.outer(rows, columns)).float()


def group(benchmark, name, direction, batch):
    benchmark.group = f"{name} {direction}, batch {batch}"


@batches
@directions
@pytest.mark.parametrize("name", VARIANTS)
def test_ours(benchmark, time_it, name, direction, batch):
    operator = build(name, not benchmark.disabled)
    x = image(operator, batch)
    y = operator(x)
    group(benchmark, name, direction, batch)
    result = time_it((lambda: operator(x)) if direction == "forward" else (lambda: operator.adjoint(y)))
    assert result.shape == (batch, *(operator.data_shape if direction == "forward" else operator.image_shape))


@batches
@pytest.mark.parametrize("name", ["gaussian-blur", "subsampled-fourier"])
def test_gramian(benchmark, time_it, name, batch):
    operator = build(name, not benchmark.disabled)
    x = image(operator, batch)
    group(benchmark, name, "gramian", batch)
    result = time_it(lambda: operator.gramian(x))
    torch.testing.assert_close(result, operator.adjoint(operator(x)), rtol=1e-4, atol=1e-5)


def installed(name, library):
    module = {"scikit-image": "skimage"}.get(library, library)
    missing = pytest.mark.skipif(importlib.util.find_spec(module) is None, reason=f"{library} is not installed")
    return pytest.param(name, library, marks=missing, id=f"{name}-{library}")


@batches
@directions
@pytest.mark.parametrize(("name", "library"), [installed(*key) for key in PEERS])
def test_peers(benchmark, time_it, name, library, direction, batch):
    operator = build(name, not benchmark.disabled)
    forward, adjoint = PEERS[name, library](operator)
    x = image(operator, batch)
    y = operator(x)
    group(benchmark, name, direction, batch)
    rounds = 2 if name == "radon" and library != "astra" else 10
    result = time_it((lambda: forward(x)) if direction == "forward" else (lambda: adjoint(y)), rounds=rounds)
    expected = y if direction == "forward" else operator.adjoint(y)
    if name == "radon" and library != "astra":  # another interpolation, and a detector of their own choice
        assert result.numel() == pytest.approx(expected.numel(), rel=0.2)
    else:
        channels = torch.view_as_real(expected).movedim(-1, 1) if expected.is_complex() else expected
        torch.testing.assert_close(result, channels, rtol=0, atol=1e-4 * float(channels.abs().max()))


@pytest.mark.benchmark(group="radon build")
def test_build(benchmark, time_it):
    shape, arguments = (SHAPES["radon"], ARGUMENTS["radon"]) if not benchmark.disabled else ((TINY, TINY), {})
    assert time_it(lambda: Radon(shape, **arguments), rounds=2).image_shape == (1, *shape)
