"""Spectral normalisation: right after a few iterations, and still in between."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from models.spectral import FIELD, SPECTRAL_KINDS, SpectralNorm


@pytest.fixture(params=SPECTRAL_KINDS)
def kind(request):
    return request.param


def make_network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 2, 3, padding=1, bias=False))


def test_matrices_have_largest_singular_value_one():
    network = make_network()
    norm = SpectralNorm(network, "matrix")
    with torch.no_grad():
        weights = norm.weights(network)
    for name in ("0.weight", "2.weight"):
        assert abs(float(torch.linalg.matrix_norm(weights[name].flatten(1), ord=2)) - 1) < 1e-4
    assert torch.equal(weights["0.bias"], network[0].bias)


def test_weights_are_a_pure_function(kind):
    network = make_network()
    norm = SpectralNorm(network, kind)
    first, second = norm.weights(network), norm.weights(network)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_an_update_between_forward_and_backward_does_not_disturb_the_gradient(kind):
    network = make_network()
    norm = SpectralNorm(network, kind)
    expected = torch.autograd.grad(norm.weights(network)["0.weight"].square().sum(), network[0].weight)
    weight = norm.weights(network)["0.weight"]
    norm.update(network)
    found = torch.autograd.grad(weight.square().sum(), network[0].weight)
    torch.testing.assert_close(found, expected)


def test_convolutions_have_norm_one_as_maps_of_images():
    network = make_network()
    with torch.no_grad():
        weights = SpectralNorm(network, "convolution").weights(network)
    for name in ("0.weight", "2.weight"):
        weight = weights[name]
        basis = torch.eye(weight.shape[1] * FIELD**2).view(-1, weight.shape[1], FIELD, FIELD)
        matrix = F.conv2d(basis, weight, padding=1).flatten(1)
        assert abs(float(torch.linalg.matrix_norm(matrix, ord=2)) - 1) < 2e-3


def test_updates_follow_the_weights(kind):
    network = make_network()
    norm = SpectralNorm(network, kind)
    with torch.no_grad():
        network[0].weight.copy_(torch.randn(network[0].weight.shape, generator=torch.Generator().manual_seed(1)))
        norm.update(network, iterations=300)
        found = norm.weights(network)["0.weight"]
        expected = SpectralNorm(network, kind).weights(network)["0.weight"]
    torch.testing.assert_close(found, expected, rtol=2e-3, atol=1e-5)


def test_unknown_kinds_are_refused():
    with pytest.raises(ValueError, match="unknown spectral norm 'nuclear'; known: matrix, convolution"):
        SpectralNorm(make_network(), "nuclear")
