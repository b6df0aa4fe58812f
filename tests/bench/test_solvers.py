"""The race of solvers and gradient rules: what it measures, and what must hold whatever the machine."""

import pytest
import torch

from bench.comparison.solver_peers import PEERS, peer_solvers
from bench.comparison.solver_race import SolverRace
from bench.records import SolversSpec
from bench.records.environment import installed
from models import GRADIENTS, SOLVERS

METHODS = [("torchdeq", "anderson"), ("torchdeq", "broyden"), ("torchdeq", "picard")]
METHODS += [("deepinv", "anderson"), ("deepinv", "picard")]


def spec(size=16, tolerance=1e-4, batch=3):
    return SolversSpec(
        task="deblur",
        model="luser-sw",
        image_shape=(size, size),
        batch=batch,
        tolerance=tolerance,
        max_steps=50,
        history=6,
        repeats=1,
        peers=installed(PEERS),
    )


@pytest.fixture(scope="module")
def values():
    return SolverRace(spec(), torch.device("cpu")).run()


def test_every_method_is_measured_and_ours_reach_the_tolerance(values):
    ours = {row.method: row for row in values.methods if row.library == "ours"}
    assert set(ours) == set(SOLVERS)
    for row in ours.values():
        assert row.residual <= 1e-4
        assert 3 < row.evaluations < 50
        assert row.evaluations <= row.sample_evaluations <= 3 * row.evaluations
        assert 0 < row.overhead_s[0] < row.solve_s[0]
        assert row.peak_bytes > 0
        assert row.gradient_error < 1e-2


def test_the_rules_differ_in_what_they_keep_and_how_exact_they_are(values):
    rules = {row.rule: row for row in values.rules}
    assert set(rules) == set(GRADIENTS)
    assert rules["recompute"].gradient_error == pytest.approx(rules["one-graph"].gradient_error, rel=0.2)
    assert rules["recompute"].gradient_error < 1e-2 < rules["jacobian-free"].gradient_error
    assert rules["unrolled"].gradient_error < 1e-3
    assert rules["recompute"].kept_bytes == rules["jacobian-free"].kept_bytes == rules["phantom"].kept_bytes
    assert 10 * rules["recompute"].kept_bytes < rules["one-graph"].kept_bytes < rules["unrolled"].kept_bytes / 5
    assert rules["recompute"].peak_bytes < rules["one-graph"].peak_bytes < rules["unrolled"].peak_bytes
    assert all(row.step_s[0] > 0 for row in values.rules)


def test_a_tighter_tolerance_gives_a_better_gradient(values):
    tight = SolverRace(spec(tolerance=1e-6), torch.device("cpu")).run()
    for loose_row, tight_row in zip(values.methods, tight.methods, strict=True):
        assert tight_row.gradient_error < loose_row.gradient_error


@pytest.mark.parametrize("peer", METHODS, ids=" ".join)
def test_a_peer_finds_a_known_fixed_point(peer):
    pytest.importorskip("torchdeq" if peer[0] == "torchdeq" else "tqdm")
    solvers = peer_solvers(60, 1e-6, 5)
    if peer not in solvers:
        pytest.skip(f"{peer[0]} is not installed")
    start = torch.zeros(2, 1, 3, 4, dtype=torch.float64)
    solution = solvers[peer](lambda z: 0.5 * torch.cos(z) + 0.1, start)
    value = 0.5 * torch.cos(solution.z) + 0.1
    assert (value - solution.z).norm() < 1e-4
    assert torch.equal(start, torch.zeros_like(start))


@pytest.mark.parametrize("tolerance", [1e-2, 1e-3, 1e-4, 1e-5])
def test_ours_needs_no_more_evaluations_than_torchdeqs_anderson(tolerance):
    pytest.importorskip("torchdeq")
    race = SolverRace(spec(size=24, tolerance=tolerance, batch=2), torch.device("cpu"))
    scene, solvers = race.scene((24, 24), 2), race.solvers()
    evaluations = {}
    for library in ("ours", "torchdeq"):
        problem, inputs = scene.model.stage(0, scene.y, scene.y, scene.operator)
        calls = []
        with torch.no_grad():
            context = problem.prepare(*inputs)
            solvers[library, "anderson"](
                lambda z, p=problem, c=context, n=calls: (n.append(1), p.step(z, c))[1], torch.zeros_like(scene.y)
            )
        evaluations[library] = len(calls)
    assert evaluations["ours"] <= evaluations["torchdeq"]
