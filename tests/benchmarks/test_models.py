"""How long fixed points and training steps take: use --benchmark-enable; bench.solvers adds other libraries."""

import pytest
import torch

from bench.training.step import make_optimizer, training_step
from models import MODELS, POLICIES, SOLVERS
from operators import GaussianBlur
from tests.models.test_models import images, make

SHAPE = (64, 64)


@pytest.fixture(scope="module")
def operator():
    return GaussianBlur(image_shape=SHAPE, channels=3)


@pytest.mark.parametrize("method", SOLVERS)
@pytest.mark.benchmark(group="fixed-point")
def test_solve(benchmark, operator, method):
    model = make("luser-sw").eval()
    model.solver = SOLVERS[method](max_steps=50, tolerance=1e-4)
    y = operator(torch.rand(2, 3, *SHAPE, generator=torch.Generator().manual_seed(0)))
    with torch.no_grad():
        result = benchmark.pedantic(lambda: model(y, operator), rounds=5, warmup_rounds=1)
    assert all(solve.forward.converged.all() for solve in result.solves)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.benchmark(group="training-step")
def test_training_step(benchmark, name, policy):
    operator = GaussianBlur(image_shape=(12, 10), channels=3)
    model, truth = make(name, policy=policy).train(), images(2)
    optimizer, y = make_optimizer(model), operator(truth)
    benchmark.pedantic(lambda: training_step(model, optimizer, operator, y, truth, "final"), rounds=5, warmup_rounds=1)
    assert all(parameter.isfinite().all() for parameter in model.parameters())
