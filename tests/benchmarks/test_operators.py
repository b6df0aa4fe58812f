"""How long operators take beside other libraries' at the paper's sizes: use --benchmark-enable."""

from functools import cache

import pytest
import torch

from bench.comparison.operator_cases import FULL_SHAPES, phantom
from bench.comparison.operator_peers import peers
from operators import OPERATORS, Radon
from tests.operators.cases import VARIANTS

REGISTERED = {"blur": "gaussian-blur", "fourier": "subsampled-fourier", "radon": "radon"}
SHAPES = {REGISTERED[name]: shape for name, shape in FULL_SHAPES.items()} | {"diffraction": (128, 128)}
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


def group(benchmark, name, direction, batch):
    benchmark.group = f"{name} {direction}, batch {batch}"


@batches
@directions
@pytest.mark.parametrize("name", VARIANTS)
def test_ours(benchmark, time_it, name, direction, batch):
    operator = build(name, not benchmark.disabled)
    x = phantom(operator, batch)
    y = operator(x)
    group(benchmark, name, direction, batch)
    result = time_it((lambda: operator(x)) if direction == "forward" else (lambda: operator.adjoint(y)))
    assert result.shape == (batch, *(operator.data_shape if direction == "forward" else operator.image_shape))


@batches
@pytest.mark.parametrize("name", ["gaussian-blur", "subsampled-fourier"])
def test_gramian(benchmark, time_it, name, batch):
    operator = build(name, not benchmark.disabled)
    x = phantom(operator, batch)
    group(benchmark, name, "gramian", batch)
    result = time_it(lambda: operator.gramian(x))
    torch.testing.assert_close(result, operator.adjoint(operator(x)), rtol=1e-4, atol=1e-5)


PEERS = [(name, *method) for name in REGISTERED for method in peers(name, torch.device("cpu"))]


@batches
@directions
@pytest.mark.parametrize(("name", "library", "method"), PEERS)
def test_peers(benchmark, time_it, name, library, method, direction, batch):
    operator = build(REGISTERED[name], not benchmark.disabled)
    peer = peers(name, torch.device("cpu"))[library, method](operator)
    x = phantom(operator, batch)
    y = operator(x)
    given = peer.to_peer(y)
    group(benchmark, REGISTERED[name], direction, batch)
    rounds = 2 if name == "radon" and library != "astra" else 10
    call = (lambda: peer.forward(x)) if direction == "forward" else (lambda: peer.adjoint(given))
    result = time_it(call, rounds=rounds)
    assert result.shape == (given if direction == "forward" else x).shape


@pytest.mark.benchmark(group="radon build")
def test_build(benchmark, time_it):
    shape, arguments = (SHAPES["radon"], ARGUMENTS["radon"]) if not benchmark.disabled else ((TINY, TINY), {})
    assert time_it(lambda: Radon(shape, **arguments), rounds=2).image_shape == (1, *shape)
