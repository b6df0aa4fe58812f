"""No operator depends on PyTorch's defaults or modes: neither what it measures nor its norm."""

from contextlib import contextmanager

import pytest
import torch

from tests.operators.cases import VARIANTS, build, random_data, random_image

SHAPE = (6, 7)


@contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def default_device(device):
    with torch.device(device):
        yield


CONTEXTS = {
    "float64": lambda: default_dtype(torch.float64),
    "bfloat16": lambda: default_dtype(torch.bfloat16),
    "meta": lambda: default_device("meta"),
    "inference": torch.inference_mode,
    "no-grad": torch.no_grad,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
}


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", VARIANTS)
def test_results_and_norm_are_the_same_under_every_default(name, dtype, context):
    operator = build(name, SHAPE)
    x, y = random_image(operator, dtype=dtype), random_data(operator, dtype=dtype)
    expected = operator(x), operator.adjoint(y), operator.pullback(x, y), VARIANTS[name](image_shape=SHAPE).norm()
    fresh = VARIANTS[name](image_shape=SHAPE)  # with tables still to be made
    with CONTEXTS[context]():
        found = fresh(x), fresh.adjoint(y), fresh.pullback(x, y), fresh.norm()
        if context != "meta":
            assert VARIANTS[name](image_shape=SHAPE).norm() == expected[-1]
    assert found[-1] == expected[-1]
    for one, other in zip(found[:-1], expected[:-1], strict=True):
        assert torch.equal(one, other)
