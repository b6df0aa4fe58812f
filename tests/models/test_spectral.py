"""Spectral normalisation: right after a few iterations, and still in between."""

import torch
from torch import nn

from models.spectral import SpectralNorm


def make_network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 2, 3, bias=False))


def test_normalised_weights_have_largest_singular_value_one():
    network = make_network()
    norm = SpectralNorm(network)
    norm.update(network, iterations=200)
    with torch.no_grad():
        weights = norm.weights(network)
    for name in ("0.weight", "2.weight"):
        assert abs(float(torch.linalg.matrix_norm(weights[name].flatten(1), ord=2)) - 1) < 1e-4
    assert torch.equal(weights["0.bias"], network[0].bias)


def test_weights_are_a_pure_function():
    network = make_network()
    norm = SpectralNorm(network)
    first, second = norm.weights(network), norm.weights(network)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_an_update_between_forward_and_backward_does_not_disturb_the_gradient():
    network = make_network()
    norm = SpectralNorm(network)
    expected = torch.autograd.grad(norm.weights(network)["0.weight"].square().sum(), network[0].weight)
    weight = norm.weights(network)["0.weight"]
    norm.update(network)
    found = torch.autograd.grad(weight.square().sum(), network[0].weight)
    torch.testing.assert_close(found, expected)
