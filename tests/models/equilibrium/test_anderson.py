"""Anderson acceleration: faster than plain iteration, and sound where its system is not."""

import numpy as np
import pytest
import torch

from models import Anderson, Picard
from tests.models.equilibrium.test_fixed_point import linear_map, relative, zeros


def test_needs_fewer_steps_than_plain_iteration():
    f, _ = linear_map(3, 12, 0.95)
    accelerated = Anderson(max_steps=400, tolerance=1e-8)(f, zeros(3, 12)).stats
    plain = Picard(max_steps=400, tolerance=1e-8)(f, zeros(3, 12)).stats
    assert accelerated.converged.all()
    assert (3 * accelerated.steps < plain.steps).all()


def test_a_long_history_solves_a_linear_map_in_as_many_steps_as_it_has_dimensions():
    f, expected = linear_map(2, 6, 0.9)
    solution = Anderson(max_steps=9, tolerance=1e-9, history=8, ridge=1e-14)(f, zeros(2, 6))
    assert solution.stats.converged.all()
    assert relative(solution.z, expected) < 1e-7


def test_takes_the_step_of_the_constrained_least_squares_problem():
    f, _ = linear_map(1, 7, 0.9)
    seen = []

    def watched(z):
        seen.append((z[0].numpy().copy(), f(z)[0].numpy().copy()))
        return f(z)

    Anderson(max_steps=4, tolerance=0, history=3, ridge=0)(watched, zeros(1, 7))
    values = np.stack([value for _, value in seen[:3]])
    residuals = np.stack([value - z for z, value in seen[:3]])
    # min |sum alpha_i r_i| with sum alpha_i = 1, solved with alpha_2 eliminated.
    free, *_ = np.linalg.lstsq((residuals[:2] - residuals[2]).T, -residuals[2], rcond=None)
    alpha = np.append(free, 1 - free.sum())
    np.testing.assert_allclose(seen[3][0], alpha @ values, rtol=1e-9)


def test_a_rank_deficient_history_falls_back_to_plain_steps():
    # Every difference is the same vector: the Gram matrix has rank one.
    points = []

    def shift(z):
        points.append(z.clone())
        return z + 1.0

    solution = Anderson(max_steps=6, tolerance=1e-12, ridge=0.0)(shift, zeros(2, 4))
    assert solution.z.isfinite().all()
    assert not solution.stats.converged.any()
    assert not solution.stats.diverged.any()
    assert [float(z[0, 0]) for z in points] == [0, 1, 2, 3, 4, 5]


def test_a_rank_deficient_history_with_a_ridge_stays_finite():
    solution = Anderson(max_steps=20, tolerance=1e-12)(lambda z: z + 1.0, torch.zeros(2, 4))
    assert solution.z.isfinite().all()
    assert not solution.stats.converged.any()


def test_a_zero_difference_in_the_history_is_no_division_by_zero():
    calls = 0

    def still_once(z):
        nonlocal calls
        calls += 1
        return z.clone() if calls == 1 else 0.5 * z + 1

    solution = Anderson(max_steps=30, tolerance=0.0)(still_once, zeros(1, 3))
    assert solution.z.isfinite().all()


@pytest.mark.parametrize("mixing", [0.5, 0.8])
def test_damped_mixing_reaches_the_same_point(mixing):
    f, expected = linear_map(2, 8, 0.9)
    damped = Anderson(max_steps=300, tolerance=1e-10, mixing=mixing)
    assert relative(damped(f, zeros(2, 8)).z, expected) < 1e-8


@pytest.mark.parametrize("scale", [2.0**-60, 2.0**60])
def test_the_ridge_does_not_depend_on_the_scale(scale):
    f, expected = linear_map(2, 8, 0.9)
    solver = Anderson(max_steps=300, tolerance=1e-8)
    plain = solver(f, zeros(2, 8))
    scaled = solver(lambda z: scale * f(z / scale), zeros(2, 8))
    assert torch.equal(scaled.stats.steps, plain.stats.steps)
    assert relative(scaled.z / scale, expected) < 1e-6
