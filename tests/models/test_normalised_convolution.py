"""The sparing graph of LUSER's map: the ordinary one's values and gradients from half of its memory."""

import pytest
import torch
from torch import nn

from bench.memory.storage import StorageRecorder
from models.networks import EquilibriumBlock
from models.normalised_convolution import normalised_convolution


@pytest.fixture
def block():
    torch.manual_seed(0)
    block = EquilibriumBlock(3).double()
    with torch.no_grad():
        block.mix[-3].weight.normal_()
        block.mix[-3].bias.normal_()
    return block


def case(dtype=torch.float64):
    r = torch.randn(2, 3, 9, 7, dtype=dtype, requires_grad=True)
    injection = torch.randn(2, 32, 9, 7, dtype=dtype, requires_grad=True)
    return r, injection


def test_values_and_all_gradients_are_those_of_the_ordinary_graph(block):
    inputs = case()
    wanted = (*inputs, *(p for name, p in block.named_parameters() if not name.startswith("inject")))
    plain, sparing = block(*inputs), block(*inputs, sparing=True)
    cotangent = torch.randn_like(plain)
    torch.testing.assert_close(sparing, plain, rtol=1e-12, atol=1e-12)
    expected = torch.autograd.grad(plain, wanted, cotangent)
    for found, one in zip(torch.autograd.grad(sparing, wanted, cotangent), expected, strict=True):
        torch.testing.assert_close(found, one, rtol=1e-9, atol=1e-10)


def test_a_graph_can_be_pulled_back_again_and_again(block):
    r, injection = case()
    value = block(r, injection, sparing=True)
    cotangent = torch.randn_like(value)
    first, second = (torch.autograd.grad(value, r, cotangent, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)


def test_an_input_alone_is_pulled_without_the_gradients_of_weights(block, monkeypatch):
    masks = []
    original = torch.ops.aten.convolution_backward.default

    def backward(*arguments):
        masks.append(arguments[-1])
        return original(*arguments)

    monkeypatch.setattr(torch.ops.aten, "convolution_backward", backward)
    r, injection = case()
    value = block(r, injection, sparing=True)
    torch.autograd.grad(value, r, torch.ones_like(value), retain_graph=True)
    assert masks
    assert not any(by_weight for _, by_weight, _ in masks)
    torch.autograd.grad(value, block.mix[0].weight, torch.ones_like(value))
    assert sum(by_weight for _, by_weight, _ in masks[4:]) == 1


def kept_bytes(block, *, sparing):
    r, injection = case()
    with StorageRecorder() as recorder:
        value = block(r, injection, sparing=sparing)
        kept = recorder.live_bytes
    assert value.requires_grad
    return kept


def test_less_than_half_is_kept(block):
    assert kept_bytes(block, sparing=True) < 0.5 * kept_bytes(block, sparing=False)


def test_under_autocast_convolutions_run_and_are_kept_in_the_lower_precision(block):
    block = block.float()
    r, injection = case(torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        plain, sparing = block(r, injection), block(r, injection, sparing=True)
    assert sparing.dtype == torch.bfloat16
    torch.testing.assert_close(sparing, plain, rtol=0.1, atol=0.1)
    found = torch.autograd.grad(sparing.float().sum(), (r, block.mix[0].weight, block.mix[1].weight))
    assert all(gradient.dtype == torch.float32 and gradient.isfinite().all() for gradient in found)


def test_neither_groups_nor_padding_are_taken_for_granted():
    torch.manual_seed(0)
    norm, activation, convolution = nn.GroupNorm(2, 6, eps=0.1), nn.LeakyReLU(0.3), nn.Conv2d(6, 4, 5, padding=1)
    x = torch.randn(2, 6, 8, 8, requires_grad=True)
    plain = convolution(activation(norm(x)))
    sparing = normalised_convolution(x, norm, activation, convolution)
    torch.testing.assert_close(sparing, plain)
    found, expected = (torch.autograd.grad(value.square().sum(), x)[0] for value in (sparing, plain))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
