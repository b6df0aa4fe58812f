"""What every linear operator keeps: exact adjoint, autograd to any order, no image saved."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from operators import CallCounter
from tests.operators.cases import LINEAR, VARIANTS, build, inner, norm_of, random_data, random_image

SHAPES = [(8, 8), (9, 9), (7, 10), (33, 24)]
SIZES = st.integers(4, 24)
DOT_TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-6}


@pytest.fixture(params=LINEAR)
def name(request):
    return request.param


@pytest.fixture(params=SHAPES, ids=lambda shape: f"{shape[0]}x{shape[1]}")
def operator(request, name):
    return build(name, request.param)


@pytest.fixture
def small(name):
    return build(name, (4, 5))


def dense_matrix(operator):
    pixels = torch.eye(torch.Size(operator.image_shape).numel(), dtype=torch.float64)
    columns = operator(pixels.view(-1, *operator.image_shape))
    columns = torch.view_as_real(columns) if columns.is_complex() else columns
    return columns.flatten(1).T


def assert_adjoint(operator, batch, dtype):
    x, y = random_image(operator, batch, dtype), random_data(operator, batch, dtype)
    forward, adjoint = operator(x), operator.adjoint(y)
    assert abs(inner(forward, y) - inner(x, adjoint)) <= DOT_TOLERANCE[dtype] * norm_of(forward) * norm_of(y)
    # Random vectors are nearly orthogonal to most errors of a backprojector; its own output is not.
    assert inner(operator(adjoint), y) == pytest.approx(inner(adjoint, adjoint), rel=DOT_TOLERANCE[dtype])


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("dtype", DOT_TOLERANCE, ids=str)
def test_adjoint_of_random_vectors_and_of_its_own_output(operator, dtype, batch):
    assert_adjoint(operator, batch, dtype)


@pytest.mark.parametrize("name", LINEAR)
@settings(derandomize=True, deadline=None, max_examples=25)
@given(
    height=st.integers(4, 24),
    width=st.integers(4, 24),
    batch=st.integers(1, 4),
    dtype=st.sampled_from([*DOT_TOLERANCE]),
)
def test_adjoint_at_any_size(name, height, width, batch, dtype):
    assert_adjoint(build(name, (height, width)), batch, dtype)


def test_adjoint_matrix_is_the_transpose(name):
    operator = build(name, (4, 5))
    matrix = dense_matrix(operator)
    basis = torch.eye(torch.Size(operator.data_shape).numel(), dtype=torch.float64)
    basis = basis.view(-1, *operator.data_shape)
    if operator(random_image(operator, 1)).is_complex():
        basis = torch.stack([basis.to(torch.complex128), 1j * basis], dim=1).flatten(0, 1)
    torch.testing.assert_close(operator.adjoint(basis).flatten(1), matrix, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", DOT_TOLERANCE, ids=str)
def test_precision_is_kept_and_double_refines_single(operator, dtype):
    x, y = random_image(operator, 2, dtype), random_data(operator, 2, dtype)
    assert operator(x).dtype == y.dtype
    assert operator.adjoint(y).dtype == dtype
    exact = operator(x.double())
    torch.testing.assert_close(operator(x).to(exact.dtype), exact, rtol=1e-5, atol=1e-5 * float(exact.abs().max()))


def test_linearity(operator):
    x, other = random_image(operator, seed=2), random_image(operator, seed=3)
    torch.testing.assert_close(operator(2.5 * x - other), 2.5 * operator(x) - operator(other))
    y, another = random_data(operator, seed=4), random_data(operator, seed=5)
    combined = 2.5 * operator.adjoint(y) - operator.adjoint(another)
    torch.testing.assert_close(operator.adjoint(2.5 * y - another), combined)


def test_gradients_are_the_opposite_map(operator):
    x, y = random_image(operator).requires_grad_(), random_data(operator).requires_grad_()
    (image_gradient,) = torch.autograd.grad(operator(x), x, grad_outputs=y.detach())
    assert torch.equal(image_gradient, operator.adjoint(y.detach()))
    (data_gradient,) = torch.autograd.grad(operator.adjoint(y), y, grad_outputs=x.detach())
    assert torch.equal(data_gradient, operator(x.detach()))


def test_gradients_to_second_order(small):
    x, y = random_image(small, 1).requires_grad_(), random_data(small, 1).requires_grad_()
    for function, start in ((small, x), (small.adjoint, y)):
        assert torch.autograd.gradcheck(function, start, fast_mode=True)
        assert torch.autograd.gradgradcheck(function, start, fast_mode=True)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")  # torch's own use
def test_gradients_in_forward_mode(small):
    x, y = random_image(small, 1).requires_grad_(), random_data(small, 1).requires_grad_()
    for function, start in ((small, x), (small.adjoint, y)):
        assert torch.autograd.gradcheck(function, start, fast_mode=True, check_forward_ad=True)


def test_double_backward_through_data_consistency(small):
    # d/dx of |grad 1/2 |Ax|^2|^2 / 2 is (A^T A)^2 x.
    x = random_image(small, 1).requires_grad_()
    residual = small(x)
    (gradient,) = torch.autograd.grad(inner_tensor(residual) / 2, x, create_graph=True)
    (second,) = torch.autograd.grad(inner_tensor(gradient) / 2, x)
    normal = small.adjoint(small(small.adjoint(small(x.detach()))))
    torch.testing.assert_close(second, normal)


def test_gramian_is_the_adjoint_of_the_forward_map(operator):
    x = random_image(operator, 3)
    expected = operator.adjoint(operator(x))
    torch.testing.assert_close(operator.gramian(x), expected, rtol=0, atol=1e-13 * float(expected.abs().max()))
    assert operator.gramian(x[:0]).shape == (0, *operator.image_shape)
    with pytest.raises(ValueError, match="expected a"):
        operator.gramian(x[0])


def test_gramian_has_gradients_to_second_order_and_counts_as_both_maps(small):
    counter = CallCounter(small)
    x = random_image(small, 1).requires_grad_()
    assert torch.autograd.gradcheck(counter.gramian, x, fast_mode=True)
    assert torch.autograd.gradgradcheck(counter.gramian, x, fast_mode=True)
    counter.reset()
    counter.gramian(x).sum().backward()
    assert counter.samples == {(d, p): 1 for d in ("forward", "adjoint") for p in ("reconstruct", "backward")}


def test_a_pullback_is_the_adjoint_wherever_it_is_taken(operator):
    y = random_data(operator)
    assert torch.equal(operator.pullback(random_image(operator), y), operator.adjoint(y))


def inner_tensor(a):
    return (a.conj() * a).real.sum()


def test_nothing_is_saved_for_the_backward_pass(small):
    packed = []
    x, y = random_image(small).requires_grad_(), random_data(small).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(packed.append, lambda saved: saved):
        small(x), small.adjoint(y)
    assert packed == []


@pytest.mark.parametrize("dtype", DOT_TOLERANCE, ids=str)
def test_each_sample_equals_its_own_run(operator, dtype):
    x, y = random_image(operator, 6, dtype), random_data(operator, 6, dtype)
    tolerance = {"rtol": 0, "atol": 4e-6 if dtype == torch.float32 else 1e-14}
    for apply, batch in ((operator, x), (operator.adjoint, y)):
        together = apply(batch)
        apart = torch.cat([apply(sample[None]) for sample in batch])
        scale = together.abs().max()
        torch.testing.assert_close(together / scale, apart / scale, **tolerance)


def test_results_repeat_bit_by_bit_on_any_number_of_threads(operator):
    x, y = random_image(operator, 5, torch.float32), random_data(operator, 5, torch.float32)
    forward, adjoint = operator(x), operator.adjoint(y)
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)  # set back by one_thread
        assert torch.equal(operator(x), forward)
        assert torch.equal(operator.adjoint(y), adjoint)


def test_layout_of_the_input_does_not_matter(operator):
    x, y = random_image(operator, 3), random_data(operator, 3)
    strided_x = x.movedim(-1, 0).contiguous().movedim(0, -1)
    strided_y = y.movedim(-1, 0).contiguous().movedim(0, -1)
    torch.testing.assert_close(operator(strided_x), operator(x), rtol=1e-14, atol=1e-14)
    torch.testing.assert_close(operator.adjoint(strided_y), operator.adjoint(y), rtol=1e-14, atol=1e-14)


def test_inputs_are_left_alone(operator):
    x, y = random_image(operator), random_data(operator)
    x_before, y_before = x.clone(), y.clone()
    operator(x), operator.adjoint(y)
    assert torch.equal(x, x_before)
    assert torch.equal(y, y_before)


def test_an_empty_batch_gives_an_empty_batch(operator):
    assert operator(random_image(operator, 0)).shape == (0, *operator.data_shape)
    assert operator.adjoint(random_data(operator, 0)).shape == (0, *operator.image_shape)


@pytest.mark.parametrize("shape", [(8, 8), (12, 7)])
def test_norm_is_the_largest_singular_value(name, shape):
    operator = VARIANTS[name](image_shape=shape)
    largest = float(torch.linalg.matrix_norm(dense_matrix(operator), ord=2))
    assert operator.norm() == pytest.approx(largest, rel=0.01)
    assert operator.norm() <= largest * (1 + 1e-5)


def test_wrong_shapes_are_refused(operator):
    height, width = operator.image_shape[-2:]
    for apply, shape in ((operator, operator.image_shape), (operator.adjoint, operator.data_shape)):
        for wrong in ((2, *shape[:-1], shape[-1] + 1), shape, (2, 2, *shape), (2, height + 1, width)):
            with pytest.raises(ValueError, match="expected a"):
                apply(torch.zeros(wrong))


@pytest.mark.parametrize("dtype", [torch.int64, torch.float16, torch.bool, torch.complex64], ids=str)
def test_wrong_precisions_and_complex_where_real_is_due_are_refused(small, dtype):
    for apply in (small, small.gramian):
        with pytest.raises(ValueError, match="float32 or float64"):
            apply(torch.zeros(1, *small.image_shape, dtype=dtype))
    if not (dtype.is_complex and random_data(small).is_complex()):
        with pytest.raises(ValueError, match="expected a"):
            small.adjoint(torch.zeros(1, *small.data_shape, dtype=dtype))


@pytest.mark.parametrize("shape", [(0, 4), (4, -1), (4,), (4, 4, 4), (4.5, 4), 4, None], ids=str)
def test_impossible_image_shapes_are_refused(name, shape):
    with pytest.raises(ValueError, match="image_shape"):
        VARIANTS[name](image_shape=shape)


def test_casting_the_module_does_not_round_its_tables(name):
    operator = VARIANTS[name](image_shape=(9, 9))
    x, y = random_image(operator), random_data(operator)
    before = operator(x), operator.adjoint(y)
    for cast in (operator.half, operator.float, operator.double):
        cast()
        assert torch.equal(operator(x), before[0])
        assert torch.equal(operator.adjoint(y), before[1])


def test_a_network_that_holds_an_operator_saves_and_trains_none_of_it(operator):
    assert operator.state_dict() == {}
    assert list(operator.parameters()) == []


def test_frozen_values_count_a_kernel_or_nothing(name):
    assert build(name, (8, 8)).frozen_values == (243 if name.startswith("gaussian-blur") else 0)
