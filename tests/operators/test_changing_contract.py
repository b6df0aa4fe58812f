"""Operators whose inside changes: norm, gradients and precision follow; and batches without an image."""

import copy
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.sparse import coo_array, csr_array, dok_array, lil_array
from scipy.sparse.linalg import LinearOperator as Matrix
from scipy.sparse.linalg import aslinearoperator
from torch import nn

from operators import CallCounter, LinearOperator, Slowed, from_scipy, to_scipy
from operators.nonlinear import NonlinearOperator
from tests.operators.cases import VARIANTS, build, inner, random_data, random_image


class Scaling(LinearOperator):
    """A user's operator with a parameter: y = scale x."""

    def __init__(self):
        super().__init__((1, 3, 4), (1, 3, 4))
        self.scale = nn.Parameter(torch.tensor(2.0, dtype=torch.float64))

    def _forward(self, x):
        return self.scale.to(x.dtype) * x

    _adjoint = _forward


class Bending(NonlinearOperator):
    """A user's non-linear operator with a parameter: y = sin(scale x)."""

    def __init__(self):
        super().__init__((1, 3, 4), (1, 3, 4))
        self.scale = nn.Parameter(torch.tensor(2.0, dtype=torch.float64))

    def _forward(self, x):
        return torch.sin(self.scale.to(x.dtype) * x)


WRAPS = {"itself": lambda operator: operator, "counted": CallCounter, "slowed": lambda operator: Slowed(operator, 2)}
FORMS = {
    "array": np.array,
    "csr": csr_array,
    "coo": coo_array,
    "dok": dok_array,
    "lil": lil_array,
    "linear operator": lambda values: aslinearoperator(values.copy()),
    "product": lambda values: aslinearoperator(values.copy()) @ aslinearoperator(np.eye(values.shape[1])),
}


@pytest.fixture(params=WRAPS)
def wrap(request):
    return WRAPS[request.param]


@pytest.fixture(params=[Scaling, Bending])
def learned(request):
    return request.param()


def test_the_norm_follows_a_parameter(learned, wrap):
    operator = wrap(learned)
    assert operator.norm() == pytest.approx(2)
    with torch.no_grad():
        learned.scale.mul_(3)
    assert operator.norm() == pytest.approx(6)
    learned.scale = nn.Parameter(torch.tensor(5.0))
    assert operator.norm() == pytest.approx(5)
    learned.scale.data = torch.tensor(7.0)
    assert operator.norm() == pytest.approx(7)
    learned.scale.data.fill_(1.0)  # which PyTorch does not count
    operator.forget_norm()
    assert operator.norm() == pytest.approx(1)


def test_copies_find_their_own_norm(learned):
    assert learned.norm() == pytest.approx(2)
    for other in (copy.deepcopy(learned), pickle.loads(pickle.dumps(learned))):
        with torch.no_grad():
            other.scale.fill_(4)
        assert other.norm() == pytest.approx(4)
    assert learned.norm() == pytest.approx(2)


def test_an_assumed_norm_is_that_of_what_is_wrapped(wrap):
    operator = wrap(VARIANTS["gaussian-blur"](image_shape=(4, 5)))
    operator.assume_norm(3.5)
    assert operator.norm() == 3.5
    operator.forget_norm()
    assert operator.norm() < 1


def test_a_norm_is_found_once_while_nothing_changes(monkeypatch, learned):
    learned.norm()
    monkeypatch.setattr(type(learned), "_normal", None)
    assert learned.norm() == pytest.approx(2)


def test_parameters_of_an_operator_learn(learned, wrap):
    operator = wrap(learned)
    x, v = random_image(operator).requires_grad_(), random_data(operator).requires_grad_()

    def gradients(of):
        return torch.autograd.grad(of, (x, v, learned.scale), torch.ones_like(of), allow_unused=True)

    bent = isinstance(learned, Bending)
    slope = torch.cos(2 * x) if bent else torch.ones_like(x)
    torch.testing.assert_close(gradients(operator(x))[2], (x * slope).sum())
    torch.testing.assert_close(gradients(operator(x))[0], 2 * slope)
    by_scale = v * (slope - 2 * x * torch.sin(2 * x)) if bent else v
    torch.testing.assert_close(gradients(operator.pullback(x, v))[2], by_scale.sum())
    torch.testing.assert_close(gradients(operator.pullback(x, v))[1], 2 * slope)
    if not bent:
        torch.testing.assert_close(gradients(operator.gramian(x))[2], 4 * x.sum())
    learned.scale.requires_grad_(False)
    assert operator(x).grad_fn.name().startswith("_Forward")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_a_matrix_that_is_changed_in_place_stays_one_with_its_adjoint(form, dtype):
    values = np.random.default_rng(0).standard_normal((5, 6)).astype(dtype)
    if dtype is np.complex128:
        values += 1j * values[::-1]
    given = FORMS[form](values)
    operator = from_scipy(given)
    before = operator.norm()
    x, y = random_image(operator), random_data(operator)
    operator.adjoint(y)
    if form in ("array", "dok", "lil"):
        given[0] *= 9
        values[0] *= 9
    else:
        held = {"linear operator": lambda: given.A, "product": lambda: given.args[0].A}.get(form, lambda: given.data)()
        held *= 9
        values *= 9
    np.testing.assert_allclose(operator(x).numpy(), x.numpy() @ values.T, rtol=1e-12)
    assert inner(operator(x), y) == pytest.approx(inner(x, operator.adjoint(y)), rel=1e-12)
    assert operator.norm() == pytest.approx(np.linalg.norm(np.vstack([values.real, values.imag]), 2), rel=0.02)
    assert operator.norm() > 2 * before


def test_functions_that_hide_their_arrays_are_announced():
    held, shown = SimpleNamespace(scale=np.array([2.0])), np.array([2.0])

    def diagonal(scale):
        return Matrix((3, 3), matvec=lambda v: scale() * v, rmatvec=lambda v: scale() * v, dtype=float)

    hiding, telling = from_scipy(diagonal(lambda: held.scale)), from_scipy(diagonal(lambda: shown))
    assert hiding.norm() == telling.norm() == pytest.approx(2)
    held.scale *= 4
    shown *= 4
    hiding.forget_norm()
    assert hiding.norm() == telling.norm() == pytest.approx(8)


def test_the_norm_follows_a_parameter_behind_a_bridge(wrap):
    learned = Scaling()
    operator = wrap(from_scipy(to_scipy(learned)))
    assert operator.norm() == pytest.approx(2)
    with torch.no_grad():
        learned.scale.fill_(3)
    assert operator.norm() == pytest.approx(3)


def test_pylops_matrix_that_is_changed_in_place():
    pylops = pytest.importorskip("pylops", reason="the extra pylops is not installed")
    values = np.random.default_rng(0).standard_normal((4, 4))
    operator = from_scipy(pylops.MatrixMult(values) @ pylops.Diagonal(np.ones(4)))
    assert operator.norm() == pytest.approx(np.linalg.norm(values, 2), rel=0.02)
    values *= 5
    assert operator.norm() == pytest.approx(np.linalg.norm(values, 2), rel=0.02)


@pytest.mark.parametrize("name", VARIANTS)
def test_empty_batches_pass_through_every_map_and_its_derivatives(name, wrap):
    operator = wrap(build(name, (4, 5)))
    x, y = random_image(operator, 0).requires_grad_(), random_data(operator, 0).requires_grad_()
    maps = [(operator, (x,)), (operator.adjoint, (y,)), (operator.pullback, (x, y))]
    for apply, inputs in maps + [(operator.gramian, (x,))] * operator.linear:
        result = apply(*inputs)
        assert len(result) == 0
        found = torch.autograd.grad(result, inputs, torch.zeros_like(result), create_graph=True, allow_unused=True)
        assert all(part is None or part.shape == given.shape for part, given in zip(found, inputs, strict=True))
