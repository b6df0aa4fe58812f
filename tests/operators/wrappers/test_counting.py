"""Calls are counted by direction and phase, autograd's own included, and results stay the operator's."""

import pytest
import torch

from operators import OPERATORS, CallCounter, GaussianBlur, current_phase, phase


@pytest.fixture
def counter():
    return CallCounter(GaussianBlur(image_shape=(6, 5)))


@pytest.fixture
def x():
    return torch.rand(3, 3, 6, 5, generator=torch.Generator().manual_seed(0))


def test_reconstruction_calls_count_once_a_batch_and_once_a_sample(counter, x):
    counter(x)
    counter(x)
    counter.adjoint(x)
    assert counter.calls == {("forward", "reconstruct"): 2, ("adjoint", "reconstruct"): 1}
    assert counter.samples == {("forward", "reconstruct"): 6, ("adjoint", "reconstruct"): 3}


def test_calls_inside_a_solve_are_counted_apart(counter, x):
    with phase("solve"):
        counter.adjoint(counter(x))
    counter(x)
    assert counter.calls == {("forward", "solve"): 1, ("adjoint", "solve"): 1, ("forward", "reconstruct"): 1}


def test_autograd_calls_count_as_backward_with_the_direction_swapped(counter, x):
    counter.adjoint(counter(x.requires_grad_())).sum().backward()
    assert counter.calls["adjoint", "backward"] == 1  # of forward
    assert counter.calls["forward", "backward"] == 1  # of adjoint
    assert counter.samples["adjoint", "backward"] == 3
    assert counter.calls["forward", "reconstruct"] == counter.calls["adjoint", "reconstruct"] == 1


def test_double_backward_is_backward_too(counter, x):
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(counter(x).square().sum(), x, create_graph=True)
    gradient.square().sum().backward()
    assert {key[1] for key, count in counter.calls.items() if count} == {"reconstruct", "backward"}
    assert counter.calls["forward", "reconstruct"] == 1
    assert sum(counter.calls.values()) == 4


def test_backward_wins_over_a_solve_nested_in_it():
    assert current_phase() == "reconstruct"
    with phase("backward"), phase("solve"):
        assert current_phase() == "backward"
    with phase("solve"), phase("backward"):
        assert current_phase() == "backward"
    assert current_phase() == "reconstruct"


def test_a_phase_ends_with_an_error():
    with pytest.raises(RuntimeError), phase("solve"):
        raise RuntimeError
    assert current_phase() == "reconstruct"


@pytest.mark.parametrize("name", OPERATORS)
def test_results_shapes_and_norm_are_the_operators_own(name):
    operator = OPERATORS[name](image_shape=(9, 8))
    counter = CallCounter(operator)
    x = torch.rand(2, *operator.image_shape, generator=torch.Generator().manual_seed(0))
    y = operator(x)
    assert torch.equal(counter(x), y)
    assert torch.equal(counter.adjoint(y), operator.adjoint(y))
    assert (counter.image_shape, counter.data_shape) == (operator.image_shape, operator.data_shape)
    assert counter.frozen_values == operator.frozen_values
    before = dict(counter.calls)
    assert counter.norm() == operator.norm()
    assert counter.calls == before


def test_a_refused_input_is_not_counted(counter):
    with pytest.raises(ValueError, match="image batch"):
        counter(torch.zeros(1, 3, 5, 5))
    assert not counter.calls


def test_reset_forgets(counter, x):
    counter(x)
    counter.reset()
    assert not counter.calls
    assert not counter.samples
