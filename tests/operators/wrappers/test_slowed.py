"""A slowed operator repeats the work and changes nothing else."""

import pytest
import torch

from operators import OPERATORS, CallCounter, Slowed
from tests.operators.cases import build, inner, norm_of, random_data, random_image

every_operator = pytest.mark.parametrize("operator", [build(name, (7, 6)) for name in OPERATORS], ids=OPERATORS)


@every_operator
def test_results_derivatives_and_norm_are_the_operators_own(operator):
    slowed = Slowed(operator, 3)
    x, y, v = random_image(operator), random_data(operator), random_data(operator, seed=7)
    assert torch.equal(slowed(x), operator(x))
    assert torch.equal(slowed.adjoint(y), operator.adjoint(y))
    assert torch.equal(slowed.pullback(x, v), operator.pullback(x, v))
    assert slowed.norm() == operator.norm()
    if operator.linear:
        assert torch.equal(slowed.gramian(x), operator.gramian(x))
        assert abs(inner(slowed(x), y) - inner(x, slowed.adjoint(y))) < 1e-12 * norm_of(slowed(x)) * norm_of(y)
    gradients = []
    for some in (slowed, operator):
        variable = x.clone().requires_grad_()
        (variable + some.pullback(variable, y - some(variable))).square().sum().backward()
        gradients.append(variable.grad)
    assert torch.equal(*gradients)


@every_operator
def test_every_application_is_made_factor_times_and_counts_once_outside(operator):
    inside = CallCounter(operator)
    outside = CallCounter(Slowed(inside, 4))
    x, y = random_image(operator).requires_grad_(), random_data(operator)
    (x + outside.pullback(x, y - outside(x))).sum().backward()
    outside.gramian(x.detach()) if operator.linear else outside.adjoint(y)
    assert inside.calls == {key: 4 * count for key, count in outside.calls.items()}


@pytest.mark.parametrize("factor", [0, -1, 1.5, "2"])
def test_impossible_factors_are_refused(factor):
    with pytest.raises(ValueError, match="factor"):
        Slowed(build("gaussian-blur", (7, 6)), factor)
