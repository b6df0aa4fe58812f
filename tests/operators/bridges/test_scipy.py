"""Operators as SciPy's and PyLops' matrices, and the other way round."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from scipy.sparse.linalg import aslinearoperator, lsqr

from operators import from_scipy, to_scipy
from tests.operators.cases import LINEAR, NONLINEAR, build, inner, norm_of, random_data, random_image

SHAPE = (5, 6)


def matrix(rows=14, columns=30, dtype=np.float64):
    dense = np.random.default_rng(0).standard_normal((rows, columns))
    values = csr_array(np.where(dense > 0.5, dense, 0).astype(dtype))
    return values + 1j * values[::-1] if np.issubdtype(dtype, np.complexfloating) else values


@pytest.mark.parametrize("name", LINEAR)
def test_there_and_back_is_the_same_operator(name):
    operator = build(name, SHAPE)
    is_complex = operator(random_image(operator, 1)).is_complex()
    data_shape = (*operator.data_shape, 2) if is_complex else operator.data_shape
    back = from_scipy(to_scipy(operator), image_shape=operator.image_shape, data_shape=data_shape)
    x, y = random_image(operator, 3), random_data(operator, 3)
    expected = operator(x)
    torch.testing.assert_close(back(x), torch.view_as_real(expected) if is_complex else expected, rtol=0, atol=1e-13)
    adjoint = back.adjoint(torch.view_as_real(y) if is_complex else y)
    torch.testing.assert_close(adjoint, operator.adjoint(y), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", LINEAR)
def test_vectors_and_columns_agree_and_keep_the_precision(name):
    made = to_scipy(build(name, SHAPE), np.float32)
    columns = np.random.default_rng(0).standard_normal((made.shape[1], 2)).astype(np.float32)
    for column, result in zip(columns.T, (made @ columns).T, strict=True):
        np.testing.assert_allclose(made.matvec(column), result, rtol=0, atol=1e-5)
    assert (made @ columns).dtype == made.matvec(columns[:, 0]).dtype == np.float32
    np.testing.assert_allclose(made.rmatvec((made @ columns)[:, 0]), (made.H @ (made @ columns))[:, 0], atol=1e-5)


def test_scipys_solver_inverts_a_blur():
    operator = build("gaussian-blur-reflect", (7, 6))
    truth = random_image(operator, 1)
    solution = lsqr(to_scipy(operator), operator(truth).flatten().numpy(), damp=0, atol=0, btol=0, iter_lim=3000)[0]
    assert norm_of(operator(torch.from_numpy(solution).view_as(truth)) - operator(truth)) < 1e-6


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
@pytest.mark.parametrize("form", [aslinearoperator, lambda values: values, lambda values: values.toarray()])
def test_a_matrix_becomes_an_operator_with_its_adjoint(dtype, form):
    values = matrix(dtype=dtype)
    operator = from_scipy(form(values), image_shape=(2, 3, 5))
    assert operator.data_shape == (14,)
    x, y = random_image(operator, 4), random_data(operator, 4)
    np.testing.assert_allclose(operator(x).numpy(), x.flatten(1).numpy() @ values.toarray().T, atol=1e-14)
    assert inner(operator(x), y) == pytest.approx(inner(x, operator.adjoint(y)), rel=1e-12)
    assert operator.norm() == pytest.approx(
        np.linalg.norm(np.vstack([values.toarray().real, values.toarray().imag]), 2), 0.02
    )
    x.requires_grad_()
    assert torch.autograd.gradcheck(operator, x, fast_mode=True)
    assert torch.autograd.gradgradcheck(operator, x, fast_mode=True)
    assert operator(x[:0]).shape == (0, 14)


def test_single_precision_stays_single():
    operator = from_scipy(matrix(dtype=np.float32), image_shape=(30,), data_shape=(2, 7))
    x = random_image(operator, dtype=torch.float32)
    assert operator(x).dtype == operator.adjoint(operator(x)).dtype == torch.float32


def test_pylops_operators_bring_their_shapes():
    pylops = pytest.importorskip("pylops", reason="the extra pylops is not installed")
    gradient = pylops.FirstDerivative(dims=(6, 7), axis=0, kind="forward", edge=False)
    operator = from_scipy(gradient)
    assert operator.image_shape == operator.data_shape == (6, 7)
    x, y = random_image(operator), random_data(operator)
    torch.testing.assert_close(operator(x)[:, :-1], x[:, 1:] - x[:, :-1])
    assert inner(operator(x), y) == pytest.approx(inner(x, operator.adjoint(y)), rel=1e-12)


@pytest.mark.parametrize("name", LINEAR)
def test_ours_pass_pylops_own_dot_test(name):
    pylops = pytest.importorskip("pylops", reason="the extra pylops is not installed")
    made = pylops.aslinearoperator(to_scipy(build(name, SHAPE)))
    assert pylops.utils.dottest(made, rtol=1e-10, raiseerror=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_shape": (2, 3, 4)}, r"image_shape \(2, 3, 4\) has 24 entries, the operator wants 30"),
        ({"data_shape": (3,)}, "data_shape"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        from_scipy(matrix(), **arguments)


def test_real_and_complex_data_are_told_apart():
    real, complex_ = (from_scipy(matrix(dtype=dtype)) for dtype in (np.float64, np.complex128))
    with pytest.raises(ValueError, match="real measurement"):
        real.adjoint(torch.zeros(1, 14, dtype=torch.complex128))
    with pytest.raises(ValueError, match="complex measurement"):
        complex_.adjoint(torch.zeros(1, 14))
    for operator in (real, complex_):
        for dtype in (torch.int64, torch.float16, torch.bfloat16, torch.bool):
            with pytest.raises(ValueError, match="expected a"):
                operator.adjoint(torch.zeros(1, 14).to(dtype))


@pytest.mark.parametrize("name", NONLINEAR)
def test_a_non_linear_operator_is_no_matrix(name):
    with pytest.raises(ValueError, match="only a linear operator"):
        to_scipy(build(name, SHAPE))


@pytest.mark.parametrize("value", ["x", None, 3, [1, 2], np.ones((2, 2, 2)), np.array([["a"]]), {}, object()])
def test_what_is_no_matrix_is_refused_by_name(value):
    with pytest.raises(
        ValueError, match=f"expected a SciPy or PyLops LinearOperator, .*, got {type(value).__name__}: "
    ):
        from_scipy(value)
