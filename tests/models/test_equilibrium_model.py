"""Models with fixed points: exact gradients, little memory, and the options that all of them share."""

from dataclasses import replace

import pytest
import torch

from bench.memory.storage import StorageRecorder
from models import GRADIENTS, MODELS, SOLVERS, Anderson, Picard, Unrolled
from operators import GaussianBlur, SubsampledFourier
from tests.models.kinds import EQUILIBRIUM, LUSERS, takes
from tests.models.test_models import images, make

EXACT = Anderson(max_steps=200, tolerance=1e-13, ridge=1e-10)
SHAPE = (12, 10)


@pytest.fixture(params=EQUILIBRIUM)
def name(request):
    return request.param


@pytest.fixture
def operator():
    return GaussianBlur(image_shape=SHAPE, channels=3)


def contractive(name, **options):
    """A model in float64 whose maps contract and yet are not constant."""
    model = make(name, **options).double().eval()
    with torch.no_grad():
        for block in getattr(model, "blocks", ()):
            block.mix[-3].weight.fill_(0.02)
        if name == "deq4ip":
            model.network.norms[-1].weight.fill_(0.02)
            model.step_size.fill_(0.9)
    return model


def all_gradients(model, y, operator, truth):
    """Return the gradients of a loss over every stage with respect to y, step size and weights, and the solves."""
    y = y.clone().requires_grad_()
    result = model(y, operator)
    loss = sum((stage - truth).square().mean() for stage in result.stages)
    inputs = (y, *model.parameters())
    return torch.autograd.grad(loss, inputs), result.solves


@pytest.mark.parametrize("name", LUSERS)
def test_the_recomputed_gradient_is_that_of_200_unrolled_steps(name, operator):
    truth = images(2).double()
    y = operator(truth)
    found, solves = all_gradients(contractive(name, policy="recompute", solver=EXACT), y, operator, truth)
    reference, _ = all_gradients(contractive(name, gradient=Unrolled(steps=200)), y, operator, truth)
    assert all(solve.forward.converged.all() and solve.backward.converged.all() for solve in solves)
    assert max(float(solve.forward.steps.max()) for solve in solves) > 4  # no constant map
    for part, expected in zip(found, reference, strict=True):
        assert (part - expected).norm() / expected.norm() < 1e-8


def test_deq4ip_has_the_gradient_of_unrolling_where_its_map_contracts():
    # All of k-space: A is unitary, so that the gradient step contracts.
    operator = SubsampledFourier(image_shape=(8, 8), acceleration=1)
    truth = images(2, channels=2)[..., :8, :8].double()
    y = operator(truth)
    found, _ = all_gradients(contractive("deq4ip", channels=2, solver=EXACT), y, operator, truth)
    reference, _ = all_gradients(contractive("deq4ip", channels=2, gradient=Unrolled(steps=200)), y, operator, truth)
    for part, expected in zip(found, reference, strict=True):
        assert (part - expected).norm() / expected.norm() < 1e-8


@pytest.mark.parametrize("rule", GRADIENTS)
def test_every_gradient_rule_trains_every_model(name, rule, operator):
    model = make(name, gradient=GRADIENTS[rule]).train()
    truth = images(2)
    (model(operator(truth), operator).image - truth).square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.abs().sum() > 0 for p in model.parameters())


@pytest.mark.parametrize("method", SOLVERS)
def test_every_method_finds_the_same_reconstruction(method, operator):
    model = contractive("luser-sw")
    y = operator(images(2).double())
    with torch.no_grad():
        expected = replace_solver(model, EXACT)(y, operator).image
        found = replace_solver(model, SOLVERS[method](max_steps=100, tolerance=1e-10))(y, operator).image
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-9)


def replace_solver(model, solver):
    model.solver = solver
    return model


def kept_bytes(name, *, steps=5, **options):
    """Bytes that a forward pass in training leaves for the backward pass, beside weights and images."""
    side = 32
    operator = GaussianBlur(image_shape=(side, side), channels=3)
    model = make(name, **options).train()
    if hasattr(model, "solver"):
        model.solver = replace(model.solver, max_steps=steps, tolerance=0.0)
    truth = torch.rand(2, 3, side, side)
    y = operator(truth)
    operator.norm()
    with StorageRecorder() as recorder:
        result = model(y, operator)
        loss = result.image.sum()
        del result
        kept = recorder.live_bytes
    del loss
    return kept


@pytest.mark.parametrize("policy", ["paper", "recompute"])
def test_what_is_kept_does_not_grow_with_the_solver_steps(name, policy):
    assert kept_bytes(name, policy=policy, steps=5) == kept_bytes(name, policy=policy, steps=50)


@pytest.mark.parametrize("name", LUSERS)
def test_recomputing_luser_keeps_a_twentieth_of_what_lu_dncnn_keeps(name):
    assert 20 * kept_bytes(name, policy="recompute") <= kept_bytes("lu-dncnn", policy="paper")


def test_unrolling_keeps_every_step(name):
    growth = kept_bytes(name, gradient=Unrolled(), steps=10) / kept_bytes(name, gradient=Unrolled(), steps=5)
    assert growth > 1.8


@pytest.mark.parametrize("name", LUSERS)
def test_a_warm_start_changes_the_path_and_not_the_result(name, operator):
    cold, warm = contractive(name, solver=EXACT), contractive(name, solver=EXACT, warm_start=True)
    y = operator(images(2).double())
    with torch.no_grad():
        first, second = cold(y, operator), warm(y, operator)
    torch.testing.assert_close(first.image, second.image, rtol=1e-9, atol=1e-11)
    assert torch.equal(first.solves[0].forward.steps, second.solves[0].forward.steps)
    assert not torch.equal(first.image, second.image)


def test_the_jacobian_penalty_lowers_the_jacobian(name, operator):
    model = make(name, noise=0.05).train()
    y = operator(images(2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    penalties = []
    for _ in range(8):
        result = model(y, operator)
        penalty = model.jacobian_penalty(y, operator, result, stage=0, generator=torch.Generator().manual_seed(0))
        penalties.append(float(penalty.detach()))
        optimizer.zero_grad()
        penalty.backward()
        optimizer.step()
    assert penalties[-1] < penalties[0]


def penalty_and_values_kept(model, y, operator):
    result, kept = model(y, operator), []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor.numel()) or tensor, lambda t: t):
        penalty = model.jacobian_penalty(y, operator, result, stage=0, generator=torch.Generator().manual_seed(0))
    return penalty, sum(kept)


def test_the_jacobian_penalty_looks_at_one_sample_whatever_the_batch(name, operator):
    model = make(name, noise=0.05).eval()
    y = operator(images(5))
    (one, kept_for_one), (five, kept_for_five) = (
        penalty_and_values_kept(model, y[:count], operator) for count in (1, 5)
    )
    torch.testing.assert_close(one, five, rtol=1e-3, atol=0.0)
    assert kept_for_one == kept_for_five > 0


@pytest.mark.parametrize("stage", [0, 3, 7])
def test_the_jacobian_penalty_is_that_of_the_named_stage(stage, operator):
    model = make("luser-dw", noise=0.05).train()
    y = operator(images(1))
    model.jacobian_penalty(y, operator, model(y, operator), stage=stage).backward()
    assert [index for index, block in enumerate(model.blocks) if block.mix[0].weight.grad is not None] == [stage]


@pytest.mark.parametrize("name", takes("spectral"))
@pytest.mark.parametrize("kind", ["matrix", "convolution"])
def test_both_spectral_norms_train(name, kind, operator):
    model = MODELS[name](channels=3, spectral=kind).train()
    before = {key: value.clone() for key, value in model.named_buffers() if "left" in key}
    truth = images(2)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(2):
        optimizer.zero_grad()
        (model(operator(truth), operator).image - truth).square().mean().backward()
        optimizer.step()
    assert any(not torch.equal(model.get_buffer(key), value) for key, value in before.items())


def test_after_pre_training_statistics_stay_while_the_weights_learn(operator):
    model = make("deq4ip").train()
    model.end_pretraining()
    before = {key: value.clone() for key, value in model.network.named_buffers()}
    model(operator(images(2)), operator).image.square().mean().backward()
    assert all(torch.equal(value, before[key]) for key, value in model.network.named_buffers())
    assert all(weight.grad is not None for weight in model.parameters())


def test_a_denoiser_moves_its_statistics_in_training_only(operator):
    model = make("deq4ip")
    noisy = images(2)
    before = model.network.norms[-1].running_mean.clone()
    model.eval().denoise(noisy)
    assert torch.equal(model.network.norms[-1].running_mean, before)
    model.train().denoise(noisy).sum().backward()
    assert not torch.equal(model.network.norms[-1].running_mean, before)
    assert not model.network.training  # every solve sees running statistics


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"solver": "anderson"}, r"solver must be an object, got 'anderson'; write Anderson\(max_steps=50, "),
        ({"solver": "broiden"}, r"got 'broiden'; write Broyden\("),
        ({"solver": Picard}, r"got <class .*Picard'>; write Picard\("),
        ({"solver": 3}, r"got 3; write .*Anderson\(.*, Broyden\("),
        ({"solver": None}, "got None; write "),
        ({"gradient": "recompute"}, r"gradient must be an object, got 'recompute'; write GRADIENTS\['recompute'\]"),
        ({"gradient": "jacobian free"}, r"write GRADIENTS\['jacobian-free'\]"),
        ({"gradient": Unrolled}, r"write GRADIENTS\['unrolled'\]"),
    ],
)
def test_a_name_in_place_of_an_object_is_told_how_that_is_written(name, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        MODELS[name](channels=1, **options)
    assert "\n" not in str(caught.value)
