"""Every operator under ``torch.func``'s transforms, autograd's vectorisation and ``torch.compile``."""

import copy
import pickle

import pytest
import torch
from torch.autograd.functional import hessian, jacobian
from torch.func import grad, jacfwd, jacrev, jvp, vjp, vmap

from operators import OPERATORS, CallCounter, Slowed
from tests.operators.cases import LINEAR, VARIANTS, build, random_data, random_image

SHAPE = (3, 4)
BACKENDS = ("eager", "aot_eager")  # both trace, and need no compiler for C++


@pytest.fixture(params=VARIANTS)
def name(request):
    return request.param


@pytest.fixture
def operator(name):
    return build(name, SHAPE)


def as_real(y):
    return torch.view_as_real(y) if y.is_complex() else y


def energy(operator):
    return lambda x: as_real(operator(x)).square().sum()


def images(operator):
    return random_image(operator), random_image(operator, seed=5)


def compiled(function, backend):
    torch.compiler.reset()
    return torch.compile(function, fullgraph=True, backend=backend)


def test_vjp_and_grad_are_pullbacks(operator):
    x, v = random_image(operator), random_data(operator)
    y, pull = vjp(operator, x)
    assert torch.equal(y, operator(x))
    torch.testing.assert_close(pull(v)[0], operator.pullback(x, v))
    torch.testing.assert_close(grad(energy(operator))(x), 2 * operator.pullback(x, operator(x)))


def test_jvp_is_the_jacobians_product(operator):
    x, direction = images(operator)
    expected = torch.tensordot(jacobian(lambda x: as_real(operator(x)), x), direction, 4)
    y, tangent = jvp(operator, (x,), (direction,))
    assert torch.equal(y, operator(x))
    torch.testing.assert_close(as_real(tangent), expected)
    v, change = random_data(operator), random_data(operator, seed=7)
    _, tangent = jvp(operator.pullback, (x, v), (direction, change))
    step = 1e-5
    ahead, behind = (operator.pullback(x + s * direction, v + s * change) for s in (step, -step))
    torch.testing.assert_close(tangent, (ahead - behind) / (2 * step), rtol=1e-5, atol=1e-7)


def test_vmap_is_a_larger_batch(operator):
    pair, v = torch.stack(images(operator)), random_data(operator)
    torch.testing.assert_close(vmap(operator)(pair), torch.stack([operator(x) for x in pair]))
    torch.testing.assert_close(vmap(operator, in_dims=2)(pair.movedim(0, 2)), vmap(operator)(pair))
    pulled = torch.stack([operator.pullback(x, v) for x in pair])
    torch.testing.assert_close(vmap(operator.pullback, in_dims=(0, None))(pair, v), pulled)
    torch.testing.assert_close(vmap(operator.adjoint)(v[None])[0], operator.adjoint(v))
    single = vmap(lambda x: grad(energy(operator))(x[None])[0])(pair[0])
    torch.testing.assert_close(single, 2 * operator.pullback(pair[0], operator(pair[0])))
    if operator.linear:
        torch.testing.assert_close(vmap(operator.gramian)(pair), torch.stack([operator.gramian(x) for x in pair]))


def test_all_jacobians_agree_and_so_do_hessians(operator):
    x, real = random_image(operator, 1), lambda x: as_real(operator(x))
    expected = jacobian(real, x)
    vectorised = [jacobian(real, x, vectorize=True, strategy=way) for way in ("reverse-mode", "forward-mode")]
    for found in (jacrev(real)(x), jacfwd(real)(x), *vectorised):
        torch.testing.assert_close(found, expected)
    expected = hessian(energy(operator), x)
    for found in (
        jacfwd(jacrev(energy(operator)))(x),
        jacrev(jacrev(energy(operator)))(x),
        hessian(energy(operator), x, vectorize=True),
    ):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("wrap", [lambda operator: operator, CallCounter, lambda operator: Slowed(operator, 2)])
@pytest.mark.parametrize("name", OPERATORS)
def test_batched_derivatives_pass_autograds_own_check(name, wrap):
    operator = wrap(build(name, (2, 3)))
    x = random_image(operator, 1).requires_grad_()
    modes = {"check_forward_ad": True, "check_batched_grad": True, "check_batched_forward_grad": True}
    assert torch.autograd.gradcheck(operator, x, **modes)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", OPERATORS)
def test_a_compiled_operator_is_one_graph_with_the_same_bits(name, backend):
    operator = VARIANTS[name](image_shape=SHAPE)  # nothing of it has been built yet
    x, v = random_image(operator).requires_grad_(), random_data(operator).requires_grad_()
    y, image, pulled = compiled(lambda x, v: (operator(x), operator.adjoint(v), operator.pullback(x, v)), backend)(x, v)
    assert torch.equal(y, operator(x))
    assert torch.equal(image, operator.adjoint(v))
    torch.testing.assert_close(pulled, operator.pullback(x, v), rtol=0, atol=1e-14)
    found = torch.autograd.grad(as_real(y).sum() + image.sum() + pulled.square().sum(), (x, v))
    eager = as_real(operator(x)).sum() + operator.adjoint(v).sum() + operator.pullback(x, v).square().sum()
    torch.testing.assert_close(found, torch.autograd.grad(eager, (x, v)))
    if name in LINEAR:
        assert torch.equal(compiled(operator.gramian, backend)(x), operator.gramian(x))
        mapped = compiled(lambda x: vmap(lambda x: operator(x))(x), backend)(x.detach()[None])
        torch.testing.assert_close(mapped[0], operator(x))


def test_a_compiled_function_tells_operators_and_their_copies_apart():
    apply = compiled(lambda operator, x: operator(x), "eager")
    first, other = (VARIANTS["gaussian-blur"](image_shape=SHAPE, size=size) for size in (3, 5))
    x = random_image(first)
    copied, unpickled = copy.deepcopy(first), pickle.loads(pickle.dumps(first))
    assert len({operator.key for operator in (first, other, copied, unpickled)}) == 4
    for operator in (first, other, copied, unpickled):
        assert torch.equal(apply(operator, x), operator(x))


def test_calls_of_a_compiled_step_are_counted_when_it_runs():
    counter = CallCounter(build("radon", SHAPE))
    x = random_image(counter, 3).requires_grad_()
    step = compiled(lambda x: counter(x).square().sum(), "aot_eager")
    for _ in range(2):
        counter.reset()
        step(x).backward()
        assert counter.samples == {("forward", "reconstruct"): 3, ("adjoint", "backward"): 3}
