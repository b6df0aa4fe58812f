"""The contract of every operator: registered, wrapped, of another library, or exported to one and back."""

import pytest
import torch
from torch.autograd.functional import jacobian
from torch.func import grad, jvp, vjp, vmap

from operators import OPERATORS, CallCounter, Slowed, from_deepinv, from_scipy, to_deepinv, to_scipy
from tests.operators.bridged import BRIDGED
from tests.operators.cases import build, inner, norm_of, random_data, random_image

SHAPE = (3, 4)
LINEAR = [name for name in OPERATORS if build(name, SHAPE).linear]
EVERY = {
    **{name: lambda name=name: build(name, SHAPE) for name in OPERATORS},
    **{f"{name}, counted": lambda name=name: CallCounter(build(name, SHAPE)) for name in OPERATORS},
    **{f"{name}, slowed": lambda name=name: Slowed(build(name, SHAPE), 2) for name in OPERATORS},
    **{name: case.operator for name, case in BRIDGED.items()},
    **{f"{name}, counted": lambda case=BRIDGED[name]: CallCounter(case.operator()) for name in ("Blur", "VStack")},
    **{f"{name}, by deepinv": lambda name=name: by_deepinv(build(name, SHAPE)) for name in LINEAR},
    **{f"{name}, by SciPy": lambda name=name: from_scipy(to_scipy(build(name, SHAPE))) for name in LINEAR},
}
WRONG = (torch.int64, torch.uint8, torch.bool, torch.float16, torch.bfloat16)


def by_deepinv(operator):
    return from_deepinv(to_deepinv(operator), image_shape=operator.image_shape)


@pytest.fixture(params=EVERY)
def name(request):
    return request.param


@pytest.fixture
def operator(name):
    return EVERY[name]()


@pytest.fixture
def close(name):
    """Compare as precisely as the operator computes."""
    tolerance = BRIDGED[name].tolerance if name in BRIDGED else 1e-11
    return lambda found, expected: torch.testing.assert_close(found, expected, rtol=100 * tolerance, atol=tolerance)


def as_real(y):
    return torch.view_as_real(y) if y.is_complex() else y


def energy(operator):
    return lambda x: as_real(operator(x)).square().sum()


def maps(operator, batch=2):
    """Every map of an operator, with inputs."""
    x, y = random_image(operator, batch), random_data(operator, batch)
    return [(operator, (x,)), (operator.adjoint, (y,)), (operator.pullback, (x, y))] + [
        (operator.gramian, (x,))
    ] * operator.linear


def test_the_adjoint_is_exact_and_is_what_autograd_takes(operator, close):
    x, y = random_image(operator).requires_grad_(), random_data(operator)
    assert torch.equal(torch.autograd.grad(operator(x), x, y)[0], operator.pullback(x.detach(), y))
    x.requires_grad_(False)
    if operator.linear:
        scale = norm_of(operator(x)) * norm_of(y)
        close(torch.tensor(inner(operator(x), y) / scale), torch.tensor(inner(x, operator.adjoint(y)) / scale))
        pulled = operator.adjoint(y)
        close(torch.tensor(inner(operator(pulled), y)), torch.tensor(inner(pulled, pulled)))
        close(operator.gramian(x), operator.adjoint(operator(x)))
        operator.adjoint(y.requires_grad_()).sum().backward()
        close(y.grad, operator(torch.ones_like(x)))


def test_every_transform_of_torch_func(operator, close):
    x, direction, v = random_image(operator), random_image(operator, seed=5), random_data(operator)
    y, pull = vjp(operator, x)
    assert torch.equal(y, operator(x))
    close(pull(v)[0], operator.pullback(x, v))
    _, tangent = jvp(operator, (x,), (direction,))
    _, back = vjp(lambda v: operator.pullback(x, v), v)
    close(tangent, back(direction)[0])  # J(x) by both modes
    if operator.linear:
        close(tangent, operator(direction))
        close(jvp(operator.adjoint, (v,), (2 * v,))[1], 2 * operator.adjoint(v))
    for apply, inputs in maps(operator):
        mapped = vmap(apply)(*(torch.stack((given, 2 * given)) for given in inputs))
        close(mapped, torch.stack((apply(*inputs), apply(*(2 * given for given in inputs)))))
    each = vmap(lambda x: grad(energy(operator))(x[None])[0])(x)
    close(each, 2 * operator.pullback(x, operator(x)))


def test_jacobians_by_autograds_own_vectorisation(operator, close):
    x = random_image(operator, 1)
    real = lambda x: as_real(operator(x))  # noqa: E731
    expected = jacobian(real, x)
    for way in ("reverse-mode", "forward-mode"):
        close(jacobian(real, x, vectorize=True, strategy=way), expected)


def test_a_compiled_function_is_one_graph_with_all_derivatives(operator, close):
    def every(x, v):
        parts = (operator(x), operator.adjoint(v), operator.pullback(x, v), grad(energy(operator))(x))
        return (*parts, operator.gramian(x)) if operator.linear else parts

    torch.compiler.reset()
    compiled = torch.compile(every, fullgraph=True, backend="aot_eager", dynamic=False)
    for batch in (2, 0):
        x, v = random_image(operator, batch).requires_grad_(), random_data(operator, batch).requires_grad_()
        found, expected = compiled(x, v), every(x, v)
        for one, other in zip(found, expected, strict=True):
            close(one, other)
        derivatives = [
            torch.autograd.grad(sum(as_real(part).square().sum() for part in parts), (x, v))
            for parts in (found, expected)
        ]
        close(*derivatives)


def test_empty_batches_keep_shape_and_precision(operator):
    for dtype in (torch.float32, torch.float64):
        x, y = (random(operator, 0, dtype).requires_grad_() for random in (random_image, random_data))
        for apply, inputs, like in (
            (operator, (x,), y),
            (operator.adjoint, (y,), x),
            (operator.pullback, (x, y), x),
            *[(operator.gramian, (x,), x)] * operator.linear,
        ):
            result = apply(*inputs)
            assert (result.shape, result.dtype) == (like.shape, like.dtype)
            (found,) = torch.autograd.grad(result, inputs[-1], torch.zeros_like(result))
            assert (found.shape, found.dtype) == (inputs[-1].shape, inputs[-1].dtype)


def test_precision_is_kept_and_others_are_refused_in_one_line(operator):
    x, y = random_image(operator), random_data(operator)
    single = operator(x.float())
    assert (single.real if single.is_complex() else single).dtype == torch.float32
    assert operator.adjoint(single).dtype == torch.float32
    other = y.real if y.is_complex() else y.to(torch.complex128)
    wrong = [(x.to(dtype), y.real.to(dtype)) for dtype in WRONG] + [(x.to(torch.complex128), other)]
    for image, data in wrong:
        for apply, given in [(operator, image), (operator.adjoint, data)] + [
            (operator.gramian, image)
        ] * operator.linear:
            with pytest.raises(ValueError, match=r"^expected a ") as refused:
                apply(given)
            assert "\n" not in str(refused.value)


def test_results_are_new_memory_in_order_and_inputs_are_left_alone(operator):
    for batch in (1, 2):
        for apply, inputs in maps(operator, batch):
            before = [given.clone() for given in inputs]
            result = apply(*inputs)
            assert result.is_contiguous()
            result.mul_(0).add_(7)
            assert all(torch.equal(*pair) for pair in zip(inputs, before, strict=True))
            locked = [given.movedim(-1, 0).contiguous().movedim(0, -1) for given in inputs]
            torch.testing.assert_close(apply(*locked), apply(*before), rtol=1e-5, atol=1e-6)


def test_the_norm_is_the_same_in_every_mode_and_found_once(operator, monkeypatch):
    norm = operator.norm()
    before = torch.get_default_dtype()
    for mode in (torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu", torch.bfloat16)):
        operator.forget_norm()
        with mode():
            assert operator.norm() == norm
    try:
        torch.set_default_dtype(torch.float64)
        operator.forget_norm()
        assert operator.norm() == norm
    finally:
        torch.set_default_dtype(before)
    nothing = torch.zeros_like(random_image(operator, 1))
    dense = jacobian(lambda x: as_real(operator(x)), nothing).reshape(-1, nothing.numel())
    largest = torch.linalg.matrix_norm(dense, ord=2)
    assert norm == pytest.approx(float(largest), rel=0.03)
    operator(random_image(operator)), operator.adjoint(random_data(operator))
    wrapped = getattr(operator, "operator", operator)
    monkeypatch.setattr(type(wrapped), "_normal", None)
    assert operator.norm() == norm


def test_use_in_inference_mode_ties_nothing_to_it(operator):
    with torch.inference_mode():
        x = random_image(operator)
        operator.adjoint(operator(x))
    x = random_image(operator).requires_grad_()
    operator.adjoint(operator(x)).square().sum().backward()
    assert x.grad.isfinite().all()
