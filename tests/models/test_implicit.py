"""The implicit gradient against full unrolling in float64, in both memory policies."""

import pytest
import torch

from models import POLICIES, Anderson
from models.implicit import FixedPointProblem, implicit_fixed_point

EXACT = Anderson(max_steps=300, tolerance=1e-13, ridge=1e-12)


class Contraction(FixedPointProblem):
    """z = tanh(W z + x) / 2 + x, output z + x."""

    def prepare(self, *inputs):
        x, weight = inputs
        return x * 2, weight

    def step(self, z, context):
        doubled, weight = context
        return 0.5 * torch.tanh(z @ weight + doubled) + doubled

    def finish(self, z, context):
        return z + context[0]


def make_inputs():
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(4, 6, generator=generator, dtype=torch.float64)
    weight = 0.3 * torch.randn(6, 6, generator=generator, dtype=torch.float64)
    return x.requires_grad_(), weight.requires_grad_()


def solve(inputs, policy):
    start = torch.zeros(4, 6, dtype=torch.float64)
    return implicit_fixed_point(
        Contraction(), inputs, start, forward_solver=EXACT, backward_solver=EXACT, policy=policy
    )


def unrolled(problem, inputs, steps=200):
    context = problem.prepare(*inputs)
    z = torch.zeros_like(inputs[0])
    for _ in range(steps):
        z = problem.step(z, context)
    return problem.finish(z, context)


@pytest.mark.parametrize("policy", POLICIES)
def test_value_and_gradient_match_unrolling(policy):
    problem, inputs = Contraction(), make_inputs()
    expected = unrolled(problem, inputs)
    output, stats = solve(inputs, policy)
    assert stats.converged.all()
    torch.testing.assert_close(output, expected, rtol=1e-10, atol=1e-12)
    cotangent = torch.randn(4, 6, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    wanted = torch.autograd.grad(expected, inputs, cotangent)
    for found, reference in zip(torch.autograd.grad(output, inputs, cotangent), wanted, strict=True):
        assert (found - reference).norm() / reference.norm() < 1e-8


@pytest.mark.parametrize("policy", POLICIES)
def test_only_inputs_that_need_a_gradient_get_one(policy):
    x, weight = make_inputs()
    fixed = weight.detach()
    output, _ = solve((x, fixed), policy)
    output.sum().backward()
    assert x.grad is not None
    assert fixed.grad is None


def test_without_gradients_nothing_is_kept():
    x, weight = make_inputs()
    with torch.no_grad():
        output, stats = solve((x, weight), "paper")
    assert output.grad_fn is None
    assert stats.converged.all()


def test_recompute_keeps_only_inputs_and_fixed_point():
    x, weight = make_inputs()
    output, _ = solve((x, weight), "recompute")
    kept = output.grad_fn.saved_tensors
    assert [tuple(tensor.shape) for tensor in kept] == [(4, 6), (4, 6), (6, 6)]
