"""Anderson acceleration on maps whose fixed points are known."""

import pytest
import torch

from models import Anderson

SOLVER = Anderson(max_steps=60, tolerance=1e-10, ridge=1e-10)


def linear_map(batch, size, radius, seed=0):
    """z -> M z + b with spectral norm ``radius`` per sample, and its fixed points."""
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(batch, size, size, generator=generator, dtype=torch.float64)
    matrix *= radius / torch.linalg.matrix_norm(matrix, ord=2)[:, None, None]
    shift = torch.randn(batch, size, 1, generator=generator, dtype=torch.float64)
    solution = torch.linalg.solve(torch.eye(size, dtype=torch.float64) - matrix, shift)
    return (lambda z: (matrix @ z[..., None] + shift)[..., 0]), solution[..., 0]


def relative(a, b):
    return float((a - b).norm() / b.norm())


def test_finds_the_fixed_point_of_a_contraction():
    f, expected = linear_map(3, 12, 0.9)
    solution = SOLVER(f, torch.zeros(3, 12, dtype=torch.float64))
    assert relative(solution.z, expected) < 1e-8
    assert solution.stats.converged.all()
    assert (solution.stats.residual < 1e-10).all()


def test_needs_fewer_steps_than_plain_iteration():
    f, expected = linear_map(1, 12, 0.95)
    solution = SOLVER(f, torch.zeros(1, 12, dtype=torch.float64))
    plain = torch.zeros(1, 12, dtype=torch.float64)
    for _ in range(int(solution.stats.steps[0])):
        plain = f(plain)
    assert relative(plain, expected) > 100 * relative(solution.z, expected)


def test_a_sample_does_not_depend_on_its_batch_mates():
    f, _ = linear_map(3, 8, 0.9)
    together = SOLVER(f, torch.zeros(3, 8, dtype=torch.float64))
    for index in range(3):
        alone = SOLVER(lambda z, i=index: f(z.expand(3, 8))[i : i + 1], torch.zeros(1, 8, dtype=torch.float64))
        torch.testing.assert_close(alone.z[0], together.z[index], rtol=1e-9, atol=1e-12)
        assert alone.stats.steps[0] == together.stats.steps[index]


def test_a_converged_sample_stands_still():
    f, _ = linear_map(2, 8, 0.9)
    constant = torch.ones(8, dtype=torch.float64)

    def first_is_constant(z):
        value = f(z)
        return torch.stack([constant, value[1]])

    solution = SOLVER(first_is_constant, torch.zeros(2, 8, dtype=torch.float64))
    assert solution.stats.steps[0] == 2
    assert solution.stats.steps[1] > 2
    assert torch.equal(solution.z[0], constant)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_sample_that_is_not_finite_poisons_nobody(bad):
    f, expected = linear_map(2, 8, 0.9)

    def poisoned(z):
        value = f(z).clone()
        value[0] = bad
        return value

    solution = SOLVER(poisoned, torch.zeros(2, 8, dtype=torch.float64))
    assert relative(solution.z[1], expected[1]) < 1e-8
    assert solution.z.isfinite().all()
    assert solution.stats.converged.tolist() == [False, True]


def test_a_diverging_map_returns_its_best_iterate_and_says_so():
    solution = Anderson(max_steps=8, tolerance=1e-6, history=1)(
        lambda z: 3 * z + 1, torch.zeros(1, 4, dtype=torch.float64)
    )
    assert not solution.stats.converged.any()
    assert solution.z.isfinite().all()
    assert solution.stats.steps.tolist() == [8]


def test_a_rank_deficient_history_falls_back_to_plain_steps():
    # Every difference is the same vector: the Gram matrix has rank one.
    solution = Anderson(max_steps=6, tolerance=1e-12, ridge=0.0)(
        lambda z: z + 1.0, torch.zeros(2, 4, dtype=torch.float64)
    )
    assert solution.z.isfinite().all()
    assert not solution.stats.converged.any()


def test_zero_tolerance_takes_every_step():
    calls = 0

    def constant(z):
        nonlocal calls
        calls += 1
        return torch.ones_like(z)

    solution = Anderson(max_steps=7, tolerance=0.0)(constant, torch.zeros(1, 4))
    assert calls == 7
    assert torch.equal(solution.z, torch.ones(1, 4))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_keeps_shape_and_dtype(dtype):
    start = torch.zeros(2, 3, 4, 5, dtype=dtype)
    solution = SOLVER(lambda z: 0.5 * z + 1, start)
    assert solution.z.shape == start.shape
    assert solution.z.dtype == dtype
    torch.testing.assert_close(solution.z, torch.full_like(start, 2.0))


def test_damped_mixing_reaches_the_same_point():
    f, expected = linear_map(2, 8, 0.9)
    damped = Anderson(max_steps=200, tolerance=1e-10, mixing=0.5, ridge=1e-10)
    assert relative(damped(f, torch.zeros(2, 8, dtype=torch.float64)).z, expected) < 1e-8
