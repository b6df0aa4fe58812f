"""Graphs that are walked more than once, and gradients that are differentiated."""

import pytest
import torch

from bench.memory.storage import StorageRecorder
from models import MODELS, POLICIES, Unrolled
from operators import GaussianBlur
from tests.models.kinds import EQUILIBRIUM
from tests.models.test_models import SHAPE, images, make


@pytest.fixture(params=MODELS)
def name(request):
    return request.param


@pytest.fixture(params=POLICIES)
def policy(request):
    return request.param


def model_and_loss(name, *, double=False, **options):
    """A sum: its own graph saves nothing, and its gradient has none."""
    model, y = make(name, **options).train(), images(2)
    model, y = (model.double(), y.double()) if double else (model, y)
    return model, sum(stage.sum() for stage in model(y, GaussianBlur(image_shape=SHAPE, channels=3)).stages)


def test_a_retained_graph_gives_the_same_gradients_every_time(name, policy):
    model, loss = model_and_loss(name, policy=policy)
    weights = tuple(model.parameters())
    first = torch.autograd.grad(loss, weights, retain_graph=True)
    assert all(gradient.abs().max() > 0 for gradient in first)
    for retain in (True, False):
        again = torch.autograd.grad(loss, weights, retain_graph=retain)
        assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))


def test_statistics_move_once_however_often_the_graph_is_walked(name, policy):
    model, loss = model_and_loss(name, policy=policy)
    before = {key: value.clone() for key, value in model.named_buffers()}
    loss.backward(retain_graph=True)
    loss.backward()
    assert all(torch.equal(value, before[key]) for key, value in model.named_buffers())


def test_a_graph_that_was_not_retained_is_gone(name, policy):
    _, loss = model_and_loss(name, policy=policy)
    loss.backward()
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        loss.backward()


def bytes_of_a_graph(name, policy):
    """Return what a graph holds before and after a backward pass that retains it."""
    with StorageRecorder() as recorder:
        model, loss = model_and_loss(name, policy=policy)
        weights = tuple(model.parameters())
        before = recorder.live_bytes
        torch.autograd.grad(loss, weights, retain_graph=True)
        after = recorder.live_bytes
        torch.autograd.grad(loss, weights)
        nothing = recorder.live_bytes
    return before - nothing, after - nothing


@pytest.mark.parametrize("name", EQUILIBRIUM)
def test_what_is_left_of_a_retained_graph_is_what_recomputing_keeps(name):
    (lavish, left), (sparing, _) = (bytes_of_a_graph(name, policy) for policy in POLICIES)
    assert left == pytest.approx(sparing, rel=0.01)
    assert left < 0.8 * lavish


@pytest.mark.parametrize("name", EQUILIBRIUM)
def test_what_cannot_be_differentiated_twice_says_where(name, policy):
    model, loss = model_and_loss(name, policy=policy)
    gradients = torch.autograd.grad(loss, tuple(model.parameters()), create_graph=True)
    with pytest.raises(RuntimeError, match=r"^the gradient of a fixed point .* cannot be differentiated again.*can$"):
        sum(gradient.square().sum() for gradient in gradients).backward()


def second_gradients(name, **options):
    model, loss = model_and_loss(name, double=True, **options)
    weights = tuple(model.parameters())
    first = torch.autograd.grad(loss, weights, create_graph=True)
    return torch.autograd.grad(sum(part.square().sum() for part in first), weights, allow_unused=True)


def test_lu_dncnn_can_be_differentiated_twice_under_both_policies():
    paper, recompute = (second_gradients("lu-dncnn", policy=policy) for policy in POLICIES)
    torch.testing.assert_close(recompute, paper, rtol=1e-9, atol=1e-12)


def test_an_unrolled_fixed_point_can_be_differentiated_twice():
    found = second_gradients("luser-sw", gradient=Unrolled(steps=2))
    assert sum(float(part.abs().sum()) for part in found if part is not None) > 0
