"""deepinv's physics as operators, and operators as deepinv's physics."""

import importlib.util

import pytest
import torch

from models import LuDnCNN
from operators import CallCounter, GaussianBlur, SubsampledFourier, from_deepinv, to_deepinv
from operators.bridges.deepinv import import_deepinv
from tests.operators.cases import LINEAR, NONLINEAR, build, inner, random_data, random_image

SHAPE = (10, 9)


@pytest.fixture(scope="module")
def deepinv():
    if importlib.util.find_spec("deepinv") is None:
        pytest.skip("the extra deepinv is not installed")
    return import_deepinv()


def as_deepinv_has_it(y):
    return torch.view_as_real(y).movedim(-1, 1) if y.is_complex() else y


def blur_physics(deepinv, padding):
    taps = torch.tensor(GaussianBlur(SHAPE).taps, dtype=torch.float64)
    return deepinv.physics.Blur(filter=torch.outer(taps, taps)[None, None], padding=padding).double()


@pytest.mark.parametrize(("boundary", "padding"), [("circular", "circular"), ("reflect", "reflect")])
def test_the_blurs_agree(deepinv, boundary, padding):
    ours = GaussianBlur(SHAPE, boundary=boundary)
    theirs = from_deepinv(blur_physics(deepinv, padding), image_shape=ours.image_shape)
    x, y = random_image(ours), random_data(ours)
    torch.testing.assert_close(theirs(x), ours(x), rtol=0, atol=1e-12)
    torch.testing.assert_close(theirs.adjoint(y), ours.adjoint(y), rtol=0, atol=1e-12)
    torch.testing.assert_close(theirs.gramian(x), ours.gramian(x), rtol=0, atol=1e-12)
    assert theirs.norm() == pytest.approx(ours.norm(), rel=1e-6)


def test_the_fourier_transforms_agree(deepinv):
    ours = SubsampledFourier(SHAPE)
    mask = ours.sampling_mask.double().expand(1, 2, *SHAPE)
    physics = deepinv.physics.MRI(mask=mask, img_size=(2, *SHAPE)).double()
    theirs = from_deepinv(physics, image_shape=ours.image_shape)
    x, y = random_image(ours), random_data(ours)
    torch.testing.assert_close(theirs(x), as_deepinv_has_it(ours(x)), rtol=0, atol=1e-12)
    torch.testing.assert_close(theirs.adjoint(as_deepinv_has_it(y)), ours.adjoint(y), rtol=0, atol=1e-12)


def test_a_physics_keeps_the_contract_of_an_operator(deepinv):
    operator = from_deepinv(blur_physics(deepinv, "valid"), image_shape=(3, 12, 11))
    assert operator.data_shape == (3, 4, 3)
    x, y = random_image(operator), random_data(operator)
    assert inner(operator(x), y) == pytest.approx(inner(x, operator.adjoint(y)), rel=1e-12)
    x = random_image(operator, 1).requires_grad_()
    assert torch.autograd.gradcheck(operator, x, fast_mode=True)
    assert torch.autograd.gradgradcheck(operator, x, fast_mode=True)
    assert operator(x.float()).dtype == operator.adjoint(y.float()).dtype == torch.float32
    with pytest.raises(ValueError, match="image batch"):
        operator(torch.zeros(1, 3, 12, 12))


@pytest.mark.parametrize("name", LINEAR)
def test_ours_are_linear_physics_to_deepinv(deepinv, name):
    operator = build(name, SHAPE)
    physics = to_deepinv(operator)
    assert isinstance(physics, deepinv.physics.LinearPhysics)
    x, y = random_image(operator), random_data(operator)
    torch.testing.assert_close(physics(x), as_deepinv_has_it(operator(x)), rtol=0, atol=0)
    torch.testing.assert_close(physics.A_adjoint(as_deepinv_has_it(y)), operator.adjoint(y), rtol=0, atol=0)
    torch.testing.assert_close(physics.A_adjoint_A(x), operator.gramian(x), rtol=0, atol=0)
    assert abs(float(physics.adjointness_test(random_image(operator)))) < 1e-9
    squared = float(physics.compute_sqnorm(random_image(operator, 1), max_iter=200, tol=1e-6, verbose=False))
    assert squared**0.5 == pytest.approx(operator.norm(), rel=0.02)


def test_deepinvs_pseudoinverse_runs_on_ours(deepinv):
    operator = SubsampledFourier((8, 8))
    y = operator(random_image(operator, 1))
    solution = to_deepinv(operator).A_dagger(as_deepinv_has_it(y))
    torch.testing.assert_close(solution, operator.adjoint(y), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", NONLINEAR)
def test_non_linear_ones_bring_their_pullback(deepinv, name):
    operator = build(name, SHAPE)
    physics = to_deepinv(operator)
    assert not isinstance(physics, deepinv.physics.LinearPhysics)
    x, v = random_image(operator), random_data(operator)
    torch.testing.assert_close(physics(x), as_deepinv_has_it(operator(x)), rtol=0, atol=0)
    torch.testing.assert_close(physics.A_vjp(x, as_deepinv_has_it(v)), operator.pullback(x, v), rtol=0, atol=0)


def test_the_norm_and_the_precision_follow_an_update(deepinv):
    physics = deepinv.physics.Blur(filter=torch.full((1, 1, 3, 3), 1 / 9), padding="circular")
    operator, counted = (
        from_deepinv(physics, image_shape=(1, 8, 8)),
        CallCounter(from_deepinv(physics, image_shape=(1, 8, 8))),
    )
    assert operator.norm() == counted.norm() == pytest.approx(1)
    physics.update(filter=torch.ones(1, 1, 3, 3))
    assert operator.norm() == counted.norm() == pytest.approx(9)
    physics.filter.mul_(2)
    assert operator.norm() == counted.norm() == pytest.approx(18)
    x = random_image(operator)
    physics.double()
    torch.testing.assert_close(operator(x), physics.A(x), rtol=0, atol=0)
    assert operator.norm() == pytest.approx(18)


def test_a_network_on_a_physics_that_was_updated_stays_sane(deepinv):
    physics = deepinv.physics.Blur(filter=torch.full((1, 1, 3, 3), 1 / 9), padding="circular")
    operator = from_deepinv(physics, image_shape=(1, 8, 8))
    torch.manual_seed(0)
    model = LuDnCNN(1).eval()
    x = random_image(operator, dtype=torch.float32)
    with torch.no_grad():
        model(operator(x), operator)
        physics.update(filter=torch.ones(1, 1, 3, 3))
        assert model(operator(x), operator).image.abs().max() < 1e3


@pytest.mark.parametrize("wrap", [lambda operator: operator, CallCounter])
def test_tensors_of_a_physics_learn(deepinv, wrap):
    kernel = torch.rand(1, 1, 3, 3, dtype=torch.float64).requires_grad_()
    physics = deepinv.physics.Blur(filter=torch.ones(1, 1, 3, 3), padding="circular").double()
    operator = wrap(from_deepinv(physics, image_shape=(1, 8, 8)))
    physics.update(filter=kernel)
    x = random_image(operator)
    for apply in (operator, operator.adjoint, operator.gramian):
        (found,) = torch.autograd.grad(apply(x).square().sum(), kernel)
        assert found.abs().min() > 0
    physics = deepinv.physics.Blur(filter=kernel.detach(), padding="circular").double()
    physics.filter.requires_grad_()
    from_deepinv(physics, image_shape=(1, 8, 8))(x).square().sum().backward()
    assert physics.filter.grad.abs().min() > 0


def test_a_physics_takes_empty_batches_and_the_precisions_that_ours_take(deepinv):
    operator = from_deepinv(blur_physics(deepinv, "valid"), image_shape=(1, 12, 11))
    x, y = (torch.zeros(0, *shape, requires_grad=True) for shape in (operator.image_shape, operator.data_shape))
    assert operator(x).shape == y.shape
    assert operator.adjoint(y).shape == operator.gramian(x).shape == x.shape
    assert torch.autograd.grad(operator(x).sum(), x)[0].shape == x.shape
    for dtype in (torch.int64, torch.uint8, torch.bool, torch.float16, torch.bfloat16):
        for apply, shape in ((operator, x.shape), (operator.gramian, x.shape), (operator.adjoint, y.shape)):
            with pytest.raises(ValueError, match=r"expected a .* of float32 or float64"):
                apply(torch.zeros(2, *shape[1:], dtype=dtype))


def test_what_is_no_linear_physics_is_refused(deepinv):
    for physics in (torch.nn.Identity(), deepinv.physics.Physics()):
        with pytest.raises(ValueError, match="linear physics of deepinv"):
            from_deepinv(physics, image_shape=(1, 4, 4))
    two = deepinv.physics.stack(deepinv.physics.LinearPhysics(), deepinv.physics.LinearPhysics())
    with pytest.raises(ValueError, match="one tensor"):
        from_deepinv(two, image_shape=(1, 4, 4))
