"""Every solver on a grid of maps: it converges where it can, never reports what is not so, and harms no contraction."""

from itertools import product

import pytest
import torch

from models import SOLVERS, Anderson, Broyden
from tests.models.equilibrium.test_fixed_point import zeros

RADII = (0.5, 0.9, 0.99)
TOLERANCES = {torch.float32: 1e-4, torch.float64: 1e-7}
METHODS = [pytest.param(name, {}, id=name) for name in SOLVERS]
METHODS += [
    pytest.param(name, {"history": history}, id=f"{name}-{history}")
    for name, history in product(("anderson", "broyden"), (1, 3, 10))
]


def normal(batch, size):
    return torch.randn(batch, size, size, dtype=torch.float64)


def matrices(kind, batch, size, radius):
    """(B, N, N) matrices of spectral radius ``radius``, of which all but the non-normal ones have that norm too."""
    basis = torch.linalg.qr(normal(batch, size)).Q
    if kind == "rotation":
        return radius * basis
    if kind == "symmetric":
        return basis * torch.linspace(-radius, radius, size, dtype=torch.float64) @ basis.mT
    above = normal(batch, size).triu(1) / size**0.5
    diagonal = torch.linspace(radius / 5, radius, size, dtype=torch.float64).diag()
    return basis @ (diagonal + above / 2) @ basis.mT


def affine(kind, batch, size, radius, dtype):
    """z -> M z + b."""
    matrix, shift = matrices(kind, batch, size, radius).to(dtype), normal(batch, size)[..., :1].to(dtype)
    return lambda z: (matrix @ z[..., None] + shift)[..., 0]


def bent(kind, batch, size, radius, dtype):
    """A contraction by ``radius`` in the Euclidean norm, kinked and curved."""
    matrix = matrices(kind, batch, size, radius).to(dtype)
    shift = 3 * normal(batch, size)[..., 0].to(dtype)
    return lambda z: (matrix @ (torch.relu(z) - torch.relu(-z - 1).tanh() + shift)[..., None])[..., 0]


def jumping(kind, batch, size, radius, dtype):
    """A map that jumps wherever an entry changes its sign, and mostly has no fixed point."""
    f = affine(kind, batch, size, radius, dtype)
    return lambda z: f(z) - 2 * torch.sign(z)


MAPS = {"affine": affine, "bent": bent, "jumping": jumping}


def relative_residual(value, z):
    return (value - z).norm(dim=1) / value.norm(dim=1)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("shape", MAPS)
@pytest.mark.parametrize(("name", "options"), METHODS)
def test_what_is_reported_is_so(name, options, shape, dtype):
    torch.manual_seed(0)
    tolerance = TOLERANCES[dtype]
    for kind, radius, size in product(("symmetric", "rotation", "non-normal"), RADII, (1, 40)):
        f = MAPS[shape](kind, 3, size, radius, dtype)
        solver = SOLVERS[name](max_steps=40, tolerance=tolerance, **options)
        seen = []

        def watched(z, f=f, seen=seen):
            value = f(z)
            seen.append(relative_residual(value, z))
            return value

        solution = solver(watched, torch.zeros(3, size, dtype=dtype))
        stats, case = solution.stats, (kind, radius, size)
        assert solution.z.isfinite().all(), case
        residual = relative_residual(f(solution.z), solution.z)
        rounding = 20 * torch.finfo(dtype).eps
        torch.testing.assert_close(stats.residual, residual, rtol=1e-3, atol=rounding, msg=str(case))
        assert (residual[stats.converged] <= tolerance * 1.001 + rounding).all(), case
        for index, steps in enumerate(stats.steps.tolist()):  # the best of what was seen before the sample was done
            assert stats.residual[index] <= torch.stack(seen)[:steps, index].min() * 1.001 + rounding, case
        assert torch.equal(stats.converged, stats.residual <= tolerance), case
        assert not (stats.converged & stats.diverged).any(), case
        if shape != "jumping" and kind != "non-normal":  # a contraction in the norm
            assert not stats.diverged.any(), case


@pytest.mark.parametrize("shape", ["affine", "bent"])
@pytest.mark.parametrize("kind", ["symmetric", "rotation", "non-normal"])
@pytest.mark.parametrize(("name", "options"), METHODS)
def test_a_contraction_costs_little_more_than_plain_iteration_at_worst(name, options, kind, shape):
    torch.manual_seed(0)
    # |f(z) - z| falls by the radius a step: from about 1 to 1e-7 in 24 and 154 steps; non-normal maps take longer.
    for radius, budget in ((0.5, 36), (0.9, 240)):
        f = MAPS[shape](kind, 3, 60, radius, torch.float64)
        max_steps = 2 * budget if kind == "non-normal" else budget
        stats = SOLVERS[name](max_steps=max_steps, tolerance=1e-7, **options)(f, zeros(3, 60)).stats
        assert stats.converged.all(), (radius, stats)


@pytest.mark.parametrize("history", [5, 10])
@pytest.mark.parametrize("method", [Anderson, Broyden])
def test_slow_directions_are_learnt_with_a_short_history(method, history):
    torch.manual_seed(0)
    # Plain iteration takes 1,000 steps and more, and conjugate residuals, which forget nothing, some 55.
    f = affine("symmetric", 4, 400, 0.99, torch.float64)
    stats = method(max_steps=140, tolerance=1e-6, history=history)(f, zeros(4, 400)).stats
    assert stats.converged.all()


@pytest.mark.parametrize("name", SOLVERS)
def test_a_tolerance_below_rounding_is_not_taken_for_divergence(name):
    torch.manual_seed(0)
    for radius in (0.3, 0.9):
        f = affine("symmetric", 4, 30, radius, torch.float64)
        stats = SOLVERS[name](max_steps=400, tolerance=1e-30)(f, zeros(4, 30)).stats
        assert not stats.diverged.any()
        assert (stats.residual < 1e-14).all()
