"""What every fixed-point method promises, on maps whose fixed points are known."""

from dataclasses import replace

import pytest
import torch

from models import SOLVERS, Picard
from models.equilibrium.fixed_point import DIVERGENCE


@pytest.fixture(params=SOLVERS)
def solver(request):
    return SOLVERS[request.param](max_steps=300, tolerance=1e-10)


def linear_map(batch, size, radius, seed=0):
    """z -> M z + b with M symmetric and of norm ``radius``, a sample each, and its fixed points."""
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(batch, size, size, generator=generator, dtype=torch.float64)
    matrix = matrix + matrix.mT
    matrix *= radius / torch.linalg.matrix_norm(matrix, ord=2)[:, None, None]
    shift = torch.randn(batch, size, 1, generator=generator, dtype=torch.float64)
    solution = torch.linalg.solve(torch.eye(size, dtype=torch.float64) - matrix, shift)
    return (lambda z: (matrix @ z[..., None] + shift)[..., 0]), solution[..., 0]


def relative(a, b):
    return float((a - b).norm() / b.norm())


def zeros(*shape):
    return torch.zeros(*shape, dtype=torch.float64)


def test_finds_the_fixed_point_of_a_contraction(solver):
    f, expected = linear_map(3, 12, 0.9)
    solution = solver(f, zeros(3, 12))
    assert relative(solution.z, expected) < 1e-8
    assert solution.stats.converged.all()
    assert not solution.stats.diverged.any()
    assert (solution.stats.residual <= 1e-10).all()


def test_the_residual_is_that_of_the_returned_iterate(solver):
    f, _ = linear_map(3, 12, 0.9)
    solution = replace(solver, max_steps=7)(f, zeros(3, 12))
    value = f(solution.z)
    expected = (value - solution.z).norm(dim=1) / value.norm(dim=1)
    torch.testing.assert_close(solution.stats.residual, expected, rtol=1e-9, atol=0)
    assert solution.stats.steps.tolist() == [7, 7, 7]
    assert not solution.stats.converged.any()
    assert not solution.stats.diverged.any()


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_a_sample_does_not_depend_on_its_batch_mates(solver, batch):
    f, _ = linear_map(batch, 8, 0.9)
    together = solver(f, zeros(batch, 8))
    for index in range(batch):
        alone = solver(lambda z, i=index: f(z.expand(batch, 8))[i : i + 1], zeros(1, 8))
        torch.testing.assert_close(alone.z[0], together.z[index], rtol=1e-9, atol=1e-12)
        assert alone.stats.steps[0] == together.stats.steps[index]


class Counted:
    """Maps of different contraction, counting how many samples each evaluation covers."""

    def __init__(self):
        self.factors = torch.tensor([0.0, 0.1, 0.3, 0.9], dtype=torch.float64)[:, None]
        self.batches = []

    def select(self, samples):
        factors = self.factors if samples is None else self.factors[samples]

        def f(z):
            self.batches.append(len(z))
            return factors * torch.tanh(z) + torch.arange(1, 7, dtype=torch.float64) / 50

        return f


def test_samples_that_are_done_are_not_evaluated_any_more(solver):
    counted, reference = Counted(), Counted()
    compact = solver(counted.select(None), zeros(4, 6), counted.select)
    whole = solver(reference.select(None), zeros(4, 6))
    assert set(reference.batches) == {4}
    assert counted.batches[0] == 4
    assert counted.batches[-1] == 1
    assert counted.batches == sorted(counted.batches, reverse=True)
    assert len(counted.batches) == len(reference.batches)
    torch.testing.assert_close(compact.z, whole.z, rtol=1e-12, atol=1e-14)
    assert torch.equal(compact.stats.steps, whole.stats.steps)
    assert compact.stats.converged.all()
    # At most half of what is evaluated is already done.
    assert sum(counted.batches) <= 2 * int(whole.stats.steps.sum())


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("with_select", [False, True])
def test_a_sample_that_is_not_finite_poisons_nobody(solver, bad, with_select):
    f, expected = linear_map(3, 8, 0.9)

    def on(samples):
        def poisoned(z):
            full = zeros(3, 8)
            full[samples] = z
            value = f(full)
            value[0] = bad
            return value[samples]

        return poisoned

    everyone = torch.arange(3)
    solution = solver(on(everyone), zeros(3, 8), on if with_select else None)
    assert relative(solution.z[1:], expected[1:]) < 1e-8
    assert torch.equal(solution.z[0], zeros(8))  # the start: no better iterate was seen
    assert solution.stats.converged.tolist() == [False, True, True]
    assert solution.stats.diverged.tolist() == [True, False, False]
    assert solution.stats.steps[0] == 1
    assert solution.stats.residual[0] == torch.inf


def test_a_nan_that_comes_late_leaves_the_best_iterate_before_it(solver):
    calls = 0

    def f(z):
        nonlocal calls
        calls += 1
        return 0.9 * torch.tanh(z) + 1 if calls < 4 else torch.full_like(z, torch.nan)

    solution = solver(f, zeros(1, 4))
    assert solution.z.isfinite().all()
    assert solution.stats.diverged.all()
    assert solution.stats.steps.tolist() == [4]
    assert solution.stats.residual.item() < 1


def test_a_diverging_map_returns_its_best_iterate_and_says_so():
    solution = Picard(max_steps=50, tolerance=1e-6)(lambda z: 3 * z + 1, zeros(1, 4))
    assert solution.stats.diverged.all()
    assert not solution.stats.converged.any()
    assert solution.z.isfinite().all()
    assert 3 ** (int(solution.stats.steps) - 1) > DIVERGENCE >= 3 ** (int(solution.stats.steps) - 2)


def test_zero_tolerance_takes_every_step(solver):
    calls = 0

    def constant(z):
        nonlocal calls
        calls += 1
        return torch.ones_like(z)

    solution = replace(solver, max_steps=7, tolerance=0.0)(constant, torch.zeros(1, 4))
    assert calls == 7
    assert torch.equal(solution.z, torch.ones(1, 4))
    assert solution.stats.converged.all()
    assert solution.stats.steps.tolist() == [2]  # from then on the residual is exactly zero


def test_one_step_is_enough_to_be_asked(solver):
    solution = replace(solver, max_steps=1)(lambda z: z + 1, torch.zeros(2, 3))
    assert torch.equal(solution.z, torch.zeros(2, 3))
    assert solution.stats.residual.tolist() == [1, 1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_keeps_shape_dtype_and_start(solver, dtype):
    start = torch.zeros(2, 3, 4, 5, dtype=dtype)
    solution = replace(solver, tolerance=1e-6)(lambda z: 0.5 * z + 1, start)
    assert solution.z.shape == start.shape
    assert solution.z.dtype == dtype
    torch.testing.assert_close(solution.z, torch.full_like(start, 2.0), rtol=1e-5, atol=0)
    assert torch.equal(start, torch.zeros_like(start))


def test_a_map_that_returns_its_own_tensor_is_not_written_to(solver):
    target = torch.arange(1.0, 7.0)[None]
    kept = target.clone()
    solution = solver(lambda z: target, torch.zeros(1, 6))
    assert torch.equal(target, kept)
    assert torch.equal(solution.z, kept)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 2e-3), (torch.bfloat16, 2e-2)], ids=str)
def test_half_precision_is_solved_to_what_it_can_hold(solver, dtype, tolerance):
    f, expected = linear_map(3, 12, 0.7)
    solution = replace(solver, tolerance=tolerance)(lambda z: f(z.double()).to(dtype), zeros(3, 12).to(dtype))
    assert solution.z.dtype == dtype
    assert solution.stats.converged.all()
    assert relative(solution.z.double(), expected) < 5 * tolerance
    large = torch.zeros(2, 20_000, dtype=dtype)  # the norm of its fixed point is beyond float16
    solution = replace(solver, tolerance=tolerance)(lambda z: 0.5 * z + 500, large)
    assert solution.stats.converged.all()


def test_damped_iteration_converges_where_plain_iteration_oscillates():
    def f(z):
        return -1.5 * z + 5

    assert not Picard(max_steps=40, tolerance=1e-8)(f, zeros(1, 3)).stats.converged.any()
    damped = Picard(max_steps=40, tolerance=1e-8, damping=0.5)(f, zeros(1, 3))
    assert damped.stats.converged.all()
    torch.testing.assert_close(damped.z, torch.full((1, 3), 2.0, dtype=torch.float64), rtol=1e-7, atol=0)
