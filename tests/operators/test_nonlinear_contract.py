"""What every non-linear operator keeps: nothing from nothing, exact derivatives, only its arguments saved."""

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from operators import CallCounter
from tests.operators.cases import NONLINEAR, VARIANTS, build, inner, norm_of, random_data, random_image

SHAPES = [(8, 8), (9, 7), (6, 11)]


@pytest.fixture(params=NONLINEAR)
def name(request):
    return request.param


@pytest.fixture(params=SHAPES, ids=lambda shape: f"{shape[0]}x{shape[1]}")
def operator(request, name):
    return build(name, request.param)


@pytest.fixture
def small(name):
    return build(name, (3, 4))


def slope(operator, x, direction, step=1e-4):
    """J(x) direction, from both sides."""
    return (operator(x + step * direction) - operator(x - step * direction)) / (2 * step)


def test_an_empty_image_measures_nothing(operator):
    empty = torch.zeros(2, *operator.image_shape, dtype=torch.float64)
    assert operator(empty).abs().max() < 1e-13
    assert operator(empty.float()).abs().max() < 1e-5


def test_it_is_not_linear(operator):
    x = random_image(operator)
    assert norm_of(operator(2 * x) - 2 * operator(x)) > 0.05 * norm_of(operator(x))


def test_pullback_is_the_adjoint_of_finite_differences(operator):
    x, direction, v = random_image(operator, seed=2), random_image(operator, seed=3), random_data(operator)
    forward = slope(operator, x, direction)
    assert abs(inner(forward, v) - inner(direction, operator.pullback(x, v))) < 1e-7 * norm_of(forward) * norm_of(v)
    # Where an unmatched pair would show: at the pullback's own output.
    pulled = operator.pullback(x, v)
    assert inner(slope(operator, x, pulled), v) == pytest.approx(inner(pulled, pulled), rel=1e-6)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_pullback_is_the_adjoint_of_the_derivative(operator, dtype, tolerance):
    x, direction, v = (
        random_image(operator, 3, dtype),
        random_image(operator, 3, dtype, 3),
        random_data(operator, 3, dtype),
    )
    variable = v.clone().requires_grad_()
    (forward,) = torch.autograd.grad(operator.pullback(x, variable), variable, direction)
    pulled = operator.pullback(x, v)
    assert abs(inner(forward, v) - inner(direction, pulled)) < tolerance * norm_of(forward) * norm_of(v)
    assert pulled.dtype == dtype


def test_gradient_of_the_forward_map_is_the_pullback(operator):
    x, v = random_image(operator).requires_grad_(), random_data(operator)
    (gradient,) = torch.autograd.grad(operator(x), x, v)
    assert torch.equal(gradient, operator.pullback(x.detach(), v))
    assert torch.equal(operator.adjoint(v), operator.pullback(torch.zeros_like(x), v))


def test_gradients_to_second_order(small):
    x, v = random_image(small, 1).requires_grad_(), random_data(small, 1).requires_grad_()
    assert torch.autograd.gradcheck(small, x, fast_mode=True)
    assert torch.autograd.gradgradcheck(small, x, fast_mode=True)
    assert torch.autograd.gradcheck(small.pullback, (x, v), fast_mode=True)
    assert torch.autograd.gradgradcheck(small.pullback, (x, v), fast_mode=True)
    assert torch.autograd.gradcheck(small.adjoint, v, fast_mode=True)


def test_gradient_through_a_step_of_data_consistency_is_that_of_the_plain_map(small):
    x, y, direction = random_image(small).requires_grad_(), random_data(small), random_image(small, seed=5)

    def plain_step():
        residual = y - small._forward(x)
        (pulled,) = torch.autograd.grad(small._forward(x), x, residual, create_graph=True)
        return x + pulled

    step = x + small.pullback(x, y - small(x))
    torch.testing.assert_close(step, plain_step())
    (ours,) = torch.autograd.grad(step, x, direction)
    (expected,) = torch.autograd.grad(plain_step(), x, direction)
    torch.testing.assert_close(ours, expected)


def test_nothing_but_the_arguments_is_saved(small):
    x, v = random_image(small).requires_grad_(), random_data(small).requires_grad_()
    for output, arguments in ((small(x), (x,)), (small.pullback(x, v), (x, v))):
        saved = output.grad_fn.saved_tensors
        assert [t.data_ptr() for t in saved] == [t.data_ptr() for t in arguments]
        assert all(
            node.name() == "torch::autograd::AccumulateGrad" for node, _ in output.grad_fn.next_functions if node
        )


def test_a_checkpoint_around_it_rebuilds_once_and_only_in_the_backward_pass(small):
    counter, y = CallCounter(small), random_data(small)
    x = random_image(small).requires_grad_()

    def step(x):
        return x + counter.pullback(x, y - counter(x))

    (expected,) = torch.autograd.grad(step(x).square().sum(), x)
    plain = counter.calls.copy()
    counter.reset()
    output = checkpoint(step, x, use_reentrant=False)
    assert counter.calls == {("forward", "reconstruct"): 1, ("adjoint", "reconstruct"): 1}
    (gradient,) = torch.autograd.grad(output.square().sum(), x)
    torch.testing.assert_close(gradient, expected)
    assert sum(counter.calls.values()) == sum(plain.values()) + 2


def test_every_application_is_counted(small):
    counter = CallCounter(small)
    x = random_image(small, 3).requires_grad_()
    y = random_data(small, 3)
    step = x + counter.pullback(x, y - counter(x))
    assert counter.calls == {("forward", "reconstruct"): 1, ("adjoint", "reconstruct"): 1}
    counter.reset()
    step.sum().backward()
    # The pullback's derivative needs J and the second derivative, the forward map's one pullback.
    assert counter.calls == {("forward", "backward"): 1, ("adjoint", "backward"): 2}
    assert counter.samples["adjoint", "backward"] == 6


def test_norm_is_the_largest_singular_value_of_the_linearisation_about_nothing(small):
    empty = torch.zeros(1, *small.image_shape, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda x: torch.view_as_real(small(x)), empty)
    largest = torch.linalg.matrix_norm(jacobian.reshape(-1, empty.numel()), ord=2)
    assert small.norm() == pytest.approx(float(largest), rel=0.01)
    assert CallCounter(small).norm() == small.norm()


def test_steps_of_data_consistency_approach_the_data(operator):
    truth = random_image(operator, seed=4).abs() / 2
    y = operator(truth)
    x = operator.adjoint(y) / operator.norm() ** 2
    residuals = []
    for _ in range(10):
        residuals.append(norm_of(y - operator(x)))
        x = x + operator.pullback(x, y - operator(x)) / operator.norm() ** 2
    assert residuals == sorted(residuals, reverse=True)
    assert residuals[-1] < 0.5 * residuals[0] < 0.5 * norm_of(y)


def test_samples_are_independent(operator):
    x, v = random_image(operator, 4), random_data(operator, 4)
    for apply, batches in ((operator, (x,)), (operator.pullback, (x, v)), (operator.adjoint, (v,))):
        apart = torch.cat([apply(*(batch[i : i + 1] for batch in batches)) for i in range(4)])
        torch.testing.assert_close(apply(*batches), apart, rtol=0, atol=1e-13)


def test_empty_batches_and_casts_of_the_module(name):
    operator = VARIANTS[name](image_shape=(5, 6))
    assert operator(random_image(operator, 0)).shape == (0, *operator.data_shape)
    assert operator.adjoint(random_data(operator, 0)).shape == (0, *operator.image_shape)
    x = random_image(operator)
    before = operator(x)
    for cast in (operator.half, operator.float, operator.double):
        cast()
        assert torch.equal(operator(x), before)
    assert operator.state_dict() == {}


def test_what_does_not_fit_is_refused(small):
    x, v = random_image(small), random_data(small)
    for wrong in (x[:, :, 1:], x[0], v):
        with pytest.raises(ValueError, match="expected a"):
            small(wrong)
        with pytest.raises(ValueError, match="expected a"):
            small.pullback(wrong, v)
    with pytest.raises(ValueError, match="expected a"):
        small.pullback(x, v[:, 1:])
    for dtype in (torch.int64, torch.float16, torch.complex64):
        with pytest.raises(ValueError, match="float32 or float64"):
            small(x.to(dtype))
    for wrong in (v.real, v.real.long(), v.real.half()):
        for apply in (small.adjoint, lambda v: small.pullback(x, v)):
            with pytest.raises(ValueError, match="expected a"):
                apply(wrong)
    with pytest.raises(ValueError, match="no gramian"):
        small.gramian(x)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")  # torch's own use
def test_gradients_in_forward_mode(small):
    x, v = random_image(small, 1).requires_grad_(), random_data(small, 1).requires_grad_()
    assert torch.autograd.gradcheck(small, x, fast_mode=True, check_forward_ad=True)
    assert torch.autograd.gradcheck(small.pullback, (x, v), fast_mode=True, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(small, x, fast_mode=True, check_fwd_over_rev=True)


def test_derivatives_and_the_norm_are_found_in_inference_mode_too(name):
    x, v = random_image(build(name, (3, 4))), random_data(build(name, (3, 4)))
    expected = build(name, (3, 4)).pullback(x, v)
    with torch.inference_mode():
        operator = VARIANTS[name](image_shape=(3, 4))
        assert operator.norm() == build(name, (3, 4)).norm()
        assert torch.equal(operator.pullback(x.clone(), v.clone()), expected)
    assert torch.equal(operator.pullback(x, v), expected)  # nothing that it kept is tied to that mode
    x.requires_grad_()
    operator.pullback(x, operator(x)).square().sum().backward()
    assert x.grad.isfinite().all()
