"""Precision and memory format of our own training step, traced."""

import pytest
import torch

from bench.memory.our_step import ShapeOperator, trace_training
from models import MODELS
from tests.bench.memory.test_trace import OPERATOR, requested, two_stages


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", MODELS)
def test_a_network_lies_channels_last(name, precision):
    def convolutions(channels_last):
        traced = trace_training(two_stages(name), OPERATOR, "paper", precision, channels_last=channels_last)
        return [request for request in traced.requests if "convolution" in request.call]

    plain, last = convolutions(False), convolutions(True)
    assert [request.call for request in plain] == [request.call for request in last]
    assert [request.size for request in plain] != [request.size for request in last]


def test_autocast_halves_dncnn_and_not_luser_whose_group_norms_stay_in_float32():
    large = ShapeOperator((3, 64, 64), (3, 64, 64), torch.float32)
    for name, least, most in (("lu-dncnn", 0.4, 0.6), ("luser-sw", 0.9, 1.15)):
        full, half = (
            max(requested(trace_training(two_stages(name), large, "paper", precision), 8))
            for precision in ("fp32", "bf16")
        )
        assert least < half / full < most
