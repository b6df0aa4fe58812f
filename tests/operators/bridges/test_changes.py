"""What is wrapped may change or learn: the operator, its norm and graphs that were compiled before follow."""

import pytest
import torch

from operators import CallCounter, from_deepinv, from_scipy, to_deepinv, to_scipy
from tests.operators.bridged import BRIDGED, DEEPINV, SIDE
from tests.operators.cases import inner, norm_of, random_data, random_image
from tests.operators.test_changing_contract import Scaling

CHANGES = [(name, change) for name, case in BRIDGED.items() for change in case.changes]
LEARNABLE = [name for name, case in DEEPINV.items() if case.learnable]


def compiled(function):
    torch.compiler.reset()
    return torch.compile(function, fullgraph=True, backend="aot_eager", dynamic=False)


@pytest.mark.parametrize(("name", "change"), CHANGES)
def test_everything_follows_a_change(name, change):
    case = BRIDGED[name]
    made = case.make()
    operator = case.bridge(made)
    counted = CallCounter(operator)
    x, y = random_image(operator).requires_grad_(), random_data(operator)
    graph = compiled(lambda x, y: (operator(x), operator.adjoint(y), operator.gramian(x)))
    before = [operator.norm(), *graph(x, y)]
    case.changes[change](made)
    fresh = case.bridge(made)
    expected = [fresh.norm(), fresh(x), fresh.adjoint(y), fresh.gramian(x)]
    assert operator.norm() == counted.norm() == expected[0] != pytest.approx(before[0])
    for found in ((operator(x), operator.adjoint(y), operator.gramian(x)), graph(x, y)):
        for one, other, past in zip(found, expected[1:], before[1:], strict=True):
            torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6 if case.tolerance > 1e-9 else 1e-12)
            assert not torch.allclose(one, past)
    error = inner(operator(x.detach()), y) - inner(x.detach(), operator.adjoint(y))
    assert abs(error) < 10 * case.tolerance * norm_of(operator(x.detach())) * norm_of(y)
    (gradient,) = torch.autograd.grad(graph(x, y)[0].abs().square().sum(), x)
    torch.testing.assert_close(gradient, 2 * operator.gramian(x), rtol=1e-5, atol=1e-5)


# deepinv's Downsampling keeps the transform of a kernel that learns, at which the compiler looks.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
@pytest.mark.parametrize("wrap", [lambda operator: operator, CallCounter])
@pytest.mark.parametrize("name", LEARNABLE)
def test_tensors_of_a_physics_learn_in_compiled_graphs_too(name, wrap):
    case = DEEPINV[name]
    made = case.make()
    operator = wrap(case.bridge(made))
    counts = isinstance(operator, CallCounter)
    learned = getattr(made, case.learnable).requires_grad_()
    x, y = random_image(operator), random_data(operator)
    direction = torch.rand(learned.shape, dtype=learned.dtype, generator=torch.Generator().manual_seed(9))
    for apply, given in ((operator, x), (operator.adjoint, y), (operator.gramian, x)):
        (found,) = torch.autograd.grad(apply(given).square().sum(), learned)
        if not counts:  # what learns is a part of the graph, in which nothing is counted
            (in_graph,) = torch.autograd.grad(compiled(apply)(given).square().sum(), learned)
            torch.testing.assert_close(in_graph, found)
        energies = []
        for step in (1e-5, -2e-5):
            with torch.no_grad():
                learned.add_(step * direction)
                energies.append(apply(given).square().sum())
        with torch.no_grad():
            learned.add_(1e-5 * direction)
        assert (found * direction).sum() == pytest.approx(float(energies[0] - energies[1]) / 2e-5, rel=1e-5)


def test_a_kernel_that_starts_to_learn_learns_in_a_graph_that_was_compiled_before():
    made = DEEPINV["Blur"].make()
    operator = DEEPINV["Blur"].bridge(made)
    x = random_image(operator)
    graph = compiled(lambda x: operator(x))
    assert not graph(x).requires_grad
    made.filter.requires_grad_()
    (found,) = torch.autograd.grad(graph(x).square().sum(), made.filter)
    torch.testing.assert_close(found, torch.autograd.grad(operator(x).square().sum(), made.filter)[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_physics_computes_in_its_own_precision(dtype):
    kernel = torch.rand(1, 1, 3, 3, dtype=dtype, generator=torch.Generator().manual_seed(0))
    made = type(DEEPINV["Blur"].make())(filter=kernel, padding="circular")
    operator = from_deepinv(made, image_shape=(1, SIDE, SIDE))
    x = random_image(operator)
    assert torch.equal(operator(x), made.A(x.to(dtype)).double())


def test_a_physics_without_numbers_computes_in_the_precision_of_the_image():
    made = type(DEEPINV["Inpainting"].make())(img_size=(1, SIDE, SIDE), mask=torch.ones(1, SIDE, SIDE) > 0)
    operator = from_deepinv(made, image_shape=(1, SIDE, SIDE))
    x = random_image(operator)
    assert torch.equal(operator(x), x)


def test_a_physics_that_measures_another_shape_now_says_so():
    made = DEEPINV["Downsampling"].make()
    operator = DEEPINV["Downsampling"].bridge(made)
    made.factor = 3
    with pytest.raises(ValueError, match=r"the physics measured \(1, 3, 3\) before, now \(1, 2, 2\)"):
        operator(random_image(operator))


def test_images_that_a_physics_does_not_take_are_refused_in_one_line():
    with pytest.raises(ValueError, match=r"^CompressedSensing measures no real \(1, 5, 5\) images: ") as refused:
        from_deepinv(DEEPINV["CompressedSensing"].make(), image_shape=(1, 5, 5))
    assert "\n" not in str(refused.value)


def test_what_learns_goes_through_numpy_as_it_is():
    learned = Scaling()
    operator = from_scipy(to_scipy(learned))
    x = random_image(operator).requires_grad_()
    (gradient,) = torch.autograd.grad(operator(x).sum(), x)
    torch.testing.assert_close(gradient, torch.full_like(x, 2))


def test_what_learns_learns_through_deepinv():
    learned = Scaling()
    back = from_deepinv(to_deepinv(learned), image_shape=learned.image_shape)
    x = random_image(learned)
    back(x).sum().backward()
    torch.testing.assert_close(learned.scale.grad, x.sum())
    assert back.norm() == pytest.approx(2)
    with torch.no_grad():
        learned.scale.fill_(3)
    assert back.norm() == pytest.approx(3)
