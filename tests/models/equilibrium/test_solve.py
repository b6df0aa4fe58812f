"""``fixed_point`` of any function against closed forms in float64, by every solver and gradient rule."""

import pytest
import torch
from torch import nn

from models import GRADIENTS, SOLVERS, FixedPointError, Outcome, Picard, fixed_point
from models.equilibrium.implicit import implicit_fixed_point
from models.equilibrium.problem import Context, FixedPointProblem

BATCH, SIZE = 3, 5
TERMS = {"jacobian-free": 1, "phantom": 5}
"""Terms of the Neumann series of (I - W^T)^-1 that a rule takes; the others take all."""


def affine(z, weight, shift):
    return z @ weight.T + shift


def make_inputs():
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(SIZE, SIZE, generator=generator, dtype=torch.float64)
    weight *= 0.5 / torch.linalg.matrix_norm(weight, ord=2)
    shift = torch.randn(BATCH, SIZE, generator=generator, dtype=torch.float64)
    return weight.requires_grad_(), shift.requires_grad_()


def zeros():
    return torch.zeros(BATCH, SIZE, dtype=torch.float64)


@pytest.fixture(params=SOLVERS)
def solver(request):
    return SOLVERS[request.param](max_steps=200, tolerance=1e-13)


@pytest.mark.parametrize("rule", GRADIENTS)
def test_value_and_gradients_of_an_affine_map_are_those_in_closed_form(solver, rule):
    weight, shift = make_inputs()
    found = fixed_point(affine, zeros(), inputs=(weight, shift), solver=solver, gradient=GRADIENTS[rule])
    identity = torch.eye(SIZE, dtype=torch.float64)
    value = torch.linalg.solve(identity - weight, shift.T).T.detach()
    torch.testing.assert_close(found.value, value, rtol=1e-10, atol=1e-11)
    assert found.converged.all()
    assert found.outcomes == (Outcome.CONVERGED,) * BATCH
    cotangent = torch.randn(BATCH, SIZE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    series = sum(torch.linalg.matrix_power(weight.T, k) for k in range(TERMS.get(rule, 100))).detach()
    pulled = cotangent @ series.T
    by_weight, by_shift = torch.autograd.grad(found.value, (weight, shift), cotangent)
    torch.testing.assert_close(by_shift, pulled, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(by_weight, pulled.T @ value, rtol=1e-9, atol=1e-10)
    assert (found.solve.backward is None) == (rule in TERMS or rule == "unrolled")


class Affine(nn.Module):
    def __init__(self, weight, shift):
        super().__init__()
        self.weight, self.shift = nn.Parameter(weight.detach().clone()), nn.Parameter(shift.detach().clone())

    def forward(self, z):
        return affine(z, self.weight, self.shift)

    def method(self, z):
        return self(z)


FORMS = {
    "module": lambda module: module,
    "method": lambda module: module.method,
    "closure": lambda module: lambda z: module(z),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("rule", GRADIENTS)
def test_parameters_of_modules_get_the_gradients_of_inputs(rule, form):
    inputs = make_inputs()
    module, solver = Affine(*inputs), Picard(max_steps=100, tolerance=1e-13)
    options = {"solver": solver, "gradient": GRADIENTS[rule]}
    expected = torch.autograd.grad(fixed_point(affine, zeros(), inputs=inputs, **options).value.sum(), inputs)
    fixed_point(FORMS[form](module), zeros(), **options).value.sum().backward()
    torch.testing.assert_close((module.weight.grad, module.shift.grad), expected, rtol=1e-12, atol=1e-14)


class Problem(FixedPointProblem):
    def prepare(self, *inputs):
        return Context((inputs[1],), (inputs[0],))

    def step(self, z, context):
        return affine(z, *context.shared, *context.samples)

    def finish(self, z, context):
        return z

    def fixed_point_of(self, output, context):
        return output


def test_it_is_the_models_own_solve(solver):
    inputs = make_inputs()
    own = implicit_fixed_point(Problem(), inputs, zeros(), solver=solver)
    found = fixed_point(affine, zeros(), inputs=inputs, solver=solver)
    assert torch.equal(found.steps, own.solve.forward.steps)
    torch.testing.assert_close(found.value, own.output, rtol=1e-13, atol=1e-14)  # whole batches, or samples left


def test_tensors_that_are_not_given_are_refused_or_unrolled():
    weight, shift = make_inputs()

    def closing(z):
        return affine(z, weight, shift)

    with pytest.raises(ValueError, match="a tensor that wants a gradient and is not given") as caught:
        fixed_point(closing, zeros())
    assert "\n" not in str(caught.value)
    unrolled = fixed_point(closing, zeros(), gradient=GRADIENTS["unrolled"], solver=Picard(max_steps=60, tolerance=0))
    assert torch.autograd.grad(unrolled.value.sum(), weight)[0].norm() > 0
    with torch.no_grad():
        assert fixed_point(closing, zeros()).value.grad_fn is None


def test_every_sample_says_how_it_ended():
    growth = torch.tensor([[0.1], [10.0], [0.99], [torch.nan]], dtype=torch.float64)
    result = fixed_point(
        lambda z: growth * z + 1, torch.zeros(4, 1).double(), solver=Picard(max_steps=20, tolerance=1e-6)
    )
    assert result.outcomes == (Outcome.CONVERGED, Outcome.DIVERGED, Outcome.MAX_STEPS, Outcome.DIVERGED)
    assert result.outcome is Outcome.DIVERGED
    assert result.converged.tolist() == [True, False, False, False]
    assert result.residual[0] <= 1e-6
    assert result.steps[2] == 20


def test_throw_raises_one_line_unless_all_converge():
    solver = Picard(max_steps=5, tolerance=1e-6)
    with pytest.raises(FixedPointError, match="2 of 2 samples did not converge, 0 of them diverged") as caught:
        fixed_point(lambda z: 0.9 * z + 1, torch.zeros(2, 1), solver=solver, throw=True)
    assert "\n" not in str(caught.value)
    assert fixed_point(lambda z: 0 * z + 1, torch.zeros(2, 1), solver=solver, throw=True).outcome is Outcome.CONVERGED


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"z0": torch.zeros(2, dtype=torch.long)}, "z0 must be a floating-point tensor"),
        ({"z0": torch.tensor(0.0)}, "z0 must be a floating-point tensor"),
        ({"inputs": torch.zeros(2)}, "inputs must be a tuple of tensors"),
        ({"inputs": (3,)}, "inputs must be a tuple of tensors"),
        ({"f": lambda z: z[:1]}, "f must return a tensor like z"),
        ({"f": lambda z: None}, "f must return a tensor like z"),
        ({"solver": "anderson"}, "write Anderson"),
        ({"backward_solver": "picard"}, "write Picard"),
        ({"gradient": "phantom"}, "write GRADIENTS"),
    ],
)
def test_what_is_no_such_argument_is_refused(arguments, message):
    given = {"f": lambda z: z / 2, "z0": torch.zeros(2, 3)} | arguments
    with pytest.raises(ValueError, match=message):
        fixed_point(given.pop("f"), given.pop("z0"), **given)
