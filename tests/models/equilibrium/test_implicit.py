"""The implicit gradient against full unrolling in float64, under every gradient rule."""

import pytest
import torch

from models import GRADIENTS, Anderson, Phantom, Picard, Unrolled
from models.equilibrium.gradients import JACOBIAN_FREE, ONE_GRAPH, RECOMPUTE
from models.equilibrium.implicit import implicit_fixed_point, jacobian_penalty
from models.equilibrium.problem import Context, FixedPointProblem

EXACT = Anderson(max_steps=300, tolerance=1e-13, ridge=1e-12)


class Contraction(FixedPointProblem):
    """z = tanh(W z + 2 x) / 2 + 2 x, output z + 2 x."""

    def prepare(self, *inputs):
        x, weight = inputs
        return Context((x * 2,), (weight,))

    def step(self, z, context):
        (doubled,), (weight,) = context.samples, context.shared
        return 0.5 * torch.tanh(z @ weight + doubled) + doubled

    def finish(self, z, context):
        return z + context.samples[0]

    def fixed_point_of(self, output, context):
        return output - context.samples[0]


def make_inputs():
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(4, 6, generator=generator, dtype=torch.float64)
    weight = 0.3 * torch.randn(6, 6, generator=generator, dtype=torch.float64)
    return x.requires_grad_(), weight.requires_grad_()


def solve(inputs, gradient, solver=EXACT, **options):
    start = torch.zeros(4, 6, dtype=torch.float64)
    return implicit_fixed_point(Contraction(), inputs, start, solver=solver, gradient=gradient, **options)


def gradients(inputs, gradient, solver=EXACT):
    output = solve(inputs, gradient, solver).output
    cotangent = torch.randn(4, 6, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return torch.cat([part.flatten() for part in torch.autograd.grad(output, inputs, cotangent)])


def error(inputs, gradient):
    reference = gradients(inputs, Unrolled(steps=200))
    return float((gradients(inputs, gradient) - reference).norm() / reference.norm())


@pytest.mark.parametrize("rule", GRADIENTS)
def test_the_value_is_the_fixed_point_under_every_rule(rule):
    inputs = make_inputs()
    expected = solve(inputs, Unrolled(steps=200))
    found = solve(inputs, GRADIENTS[rule])
    assert found.solve.forward.converged.all()
    torch.testing.assert_close(found.output, expected.output, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(found.z, expected.z, rtol=1e-10, atol=1e-12)
    assert found.z.grad_fn is None


@pytest.mark.parametrize("rule", [RECOMPUTE, ONE_GRAPH])
def test_the_implicit_gradient_is_that_of_unrolling(rule):
    assert error(make_inputs(), rule) < 1e-8


def test_a_phantom_gradient_gets_better_with_its_steps():
    errors = [error(make_inputs(), Phantom(steps=steps)) for steps in (1, 3, 9, 27)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 1e-3
    assert errors[-1] < 1e-8


def test_damping_slows_a_phantom_gradient_of_a_contraction():
    inputs = make_inputs()
    assert error(inputs, Phantom(steps=5, damping=0.5)) > error(inputs, Phantom(steps=5))
    assert error(inputs, Phantom(steps=60, damping=0.5)) < 1e-8


def test_the_jacobian_free_gradient_pulls_back_through_one_step():
    x, weight = make_inputs()
    z = solve((x, weight), RECOMPUTE).z
    context = Contraction().prepare(x, weight)
    output = Contraction().finish(Contraction().step(z, context), context)
    expected = torch.autograd.grad(output.sum(), (x, weight))
    found = torch.autograd.grad(solve((x, weight), JACOBIAN_FREE).output.sum(), (x, weight))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("rule", GRADIENTS)
def test_only_inputs_that_need_a_gradient_get_one(rule):
    x, weight = make_inputs()
    fixed = weight.detach()
    solve((x, fixed), GRADIENTS[rule]).output.sum().backward()
    assert x.grad is not None
    assert fixed.grad is None


@pytest.mark.parametrize("rule", GRADIENTS)
def test_without_gradients_nothing_is_kept(rule):
    with torch.no_grad():
        result = solve(make_inputs(), GRADIENTS[rule])
    assert result.output.grad_fn is None
    assert result.solve.forward.converged.all()


@pytest.mark.parametrize("rule", [RECOMPUTE, JACOBIAN_FREE, Phantom()])
def test_only_inputs_and_fixed_point_are_kept(rule):
    output = solve(make_inputs(), rule).output
    kept = output.grad_fn.saved_tensors
    assert [tuple(tensor.shape) for tensor in kept] == [(4, 6), (4, 6), (6, 6)]


@pytest.mark.parametrize("rule", [RECOMPUTE, ONE_GRAPH])
def test_the_backward_solve_reports_itself(rule):
    x, weight = make_inputs()
    result = solve((x, weight), rule)
    assert result.solve.backward is None
    cotangent = torch.ones(4, 6, dtype=torch.float64)
    cotangent[0] = 0
    result.output.backward(cotangent)
    backward = result.solve.backward
    assert backward.converged.all()
    assert backward.steps[0] == 1  # nothing to pull back
    assert (backward.steps[1:] > 2).all()
    assert (backward.residual <= EXACT.tolerance).all()


def test_the_backward_solve_can_have_a_solver_of_its_own():
    loose = Picard(max_steps=2, tolerance=0.0)
    result = solve(make_inputs(), RECOMPUTE, backward_solver=loose)
    result.output.sum().backward()
    assert result.solve.forward.converged.all()
    assert result.solve.backward.steps.tolist() == [2] * 4


@pytest.mark.parametrize("rule", [RECOMPUTE, ONE_GRAPH])
def test_a_second_derivative_is_refused_not_guessed(rule):
    x, weight = make_inputs()
    (first,) = torch.autograd.grad(solve((x, weight), rule).output.square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="cannot be differentiated again"):
        first.sum().backward()


def test_the_jacobian_penalty_is_the_frobenius_norm_in_expectation():
    x, weight = make_inputs()
    result = solve((x, weight), RECOMPUTE)
    context = Contraction().prepare(x, weight)

    def one(z, index):
        alone = Context((context.samples[0][index : index + 1],), context.shared)
        return Contraction().step(z[None], alone)[0]

    jacobians = [torch.autograd.functional.jacobian(lambda z, i=i: one(z, i), result.z[i]) for i in range(4)]
    expected = sum(float(jacobian.square().sum()) for jacobian in jacobians) / (4 * 6)
    generator = torch.Generator().manual_seed(0)
    draws = [
        float(jacobian_penalty(Contraction(), (x, weight), result.output, generator).detach()) for _ in range(2000)
    ]
    assert sum(draws) / len(draws) == pytest.approx(expected, rel=0.05)


def test_the_jacobian_penalty_shrinks_the_jacobian():
    x, weight = make_inputs()
    output = solve((x, weight), RECOMPUTE).output
    penalty = jacobian_penalty(Contraction(), (x, weight), output, torch.Generator().manual_seed(0))
    (direction,) = torch.autograd.grad(penalty, weight)
    assert float((direction * weight).sum().detach()) > 0  # smaller weights, smaller Jacobian
