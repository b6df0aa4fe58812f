"""Broyden's method: secant equations, and sound where its update is not."""

import torch

from models import Broyden, Picard
from tests.models.equilibrium.test_fixed_point import linear_map, relative, zeros


def test_needs_fewer_steps_than_plain_iteration():
    f, _ = linear_map(3, 12, 0.95)
    broyden = Broyden(max_steps=400, tolerance=1e-8, history=30)(f, zeros(3, 12)).stats
    plain = Picard(max_steps=400, tolerance=1e-8)(f, zeros(3, 12)).stats
    assert broyden.converged.all()
    assert (3 * broyden.steps < plain.steps).all()


def test_solves_a_linear_map_in_twice_its_dimensions():
    # Gay 1979: Broyden's method ends on n linear equations after 2n steps.
    f, expected = linear_map(2, 6, 2.0)  # plain iteration diverges here
    solution = Broyden(max_steps=14, tolerance=1e-9, history=14)(f, zeros(2, 6))
    assert solution.stats.converged.all()
    assert relative(solution.z, expected) < 1e-7


def test_a_step_that_teaches_nothing_is_left_out():
    # z + 1 has no fixed point: the change of g is zero and the update would divide by it.
    solution = Broyden(max_steps=8, tolerance=1e-12)(lambda z: z + 1.0, zeros(2, 4))
    assert solution.z.isfinite().all()
    assert not solution.stats.converged.any()


def test_a_full_history_goes_on():
    f, expected = linear_map(2, 12, 0.95)
    solution = Broyden(max_steps=400, tolerance=1e-9, history=4)(f, zeros(2, 12))
    assert solution.stats.converged.all()
    assert relative(solution.z, expected) < 1e-6


def test_learns_per_sample():
    f, _ = linear_map(2, 6, 0.9)
    g, _ = linear_map(2, 6, 0.9, seed=7)
    together = Broyden(max_steps=100, tolerance=1e-10)(lambda z: torch.stack([f(z)[0], g(z)[1]]), zeros(2, 6))
    alone = Broyden(max_steps=100, tolerance=1e-10)(f, zeros(2, 6))
    torch.testing.assert_close(together.z[0], alone.z[0], rtol=1e-9, atol=0)
    assert together.stats.steps[0] == alone.stats.steps[0]
