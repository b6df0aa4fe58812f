"""What every entry of MODELS promises."""

from dataclasses import replace

import pytest
import torch

from models import MODELS, POLICIES, EquilibriumModel, ReconstructionModel, parameter_counts
from models.base import gradient_step, starting_image
from operators import CallCounter, GaussianBlur, Radon, SubsampledFourier
from tests.models.kinds import DENOISERS, STAGED

# LUSER, Table 3.
PAPER_COUNTS = {
    ("deblur", 3): {"lu-dncnn": 558_580, "deq4ip": 558_580, "luser-sw": 96_503, "luser-dw": 770_073},
    ("ct", 1): {"lu-dncnn": 556_033, "deq4ip": 556_033, "luser-sw": 93_954, "luser-dw": 751_625},
    ("mri", 2): {"lu-dncnn": 557_185, "deq4ip": 557_185, "luser-sw": 95_107, "luser-dw": 760_849},
}
# LUSER, Sec. 4.1.
PAPER_STAGES = {"lu-dncnn": 8, "deq4ip": 1, "luser-sw": 8, "luser-dw": 8}
SHAPE = (12, 10)


@pytest.fixture(params=MODELS)
def name(request):
    return request.param


@pytest.fixture
def operator():
    return GaussianBlur(image_shape=SHAPE, channels=3)


def make(name, *, channels=3, seed=0, noise=0.01, **options) -> ReconstructionModel:
    torch.manual_seed(seed)
    model = MODELS[name](channels=channels, **options)
    with torch.no_grad():  # away from the special start, where many gradients are zero
        for parameter in model.parameters():
            parameter.add_(noise * torch.randn_like(parameter))
    return model


def images(batch, seed=1, channels=3):
    return torch.rand(batch, channels, *SHAPE, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", PAPER_STAGES)
@pytest.mark.parametrize(
    ("task", "counts"), PAPER_COUNTS.items(), ids=lambda value: value[0] if isinstance(value, tuple) else ""
)
def test_parameter_counts_are_the_papers_to_the_digit(name, task, counts):
    operator = (
        GaussianBlur(image_shape=SHAPE, channels=3) if task[0] == "deblur" else SubsampledFourier(image_shape=SHAPE)
    )
    assert parameter_counts(MODELS[name](channels=task[1]), operator)[0] == counts[name]


@pytest.mark.parametrize("name", [name for name in DENOISERS if name in STAGED])
@pytest.mark.parametrize("policy", POLICIES)
def test_the_denoiser_is_a_stage_without_its_gradient_step(name, policy, operator):
    model = make(name, policy=policy).train()
    noisy = images(2)
    alone = model.denoise(noisy)
    alone.square().mean().backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    model.eval()
    with torch.no_grad():
        model.step_size.zero_()
        assert torch.equal(model.denoise(noisy), model(noisy, operator).stages[0])


def test_pre_training_leaves_every_stage_of_luser_alike():
    model = make("luser-dw", noise=0.1)
    model.end_pretraining()
    first, *others = (
        {**block.state_dict(), **norm.state_dict()} for block, norm in zip(model.blocks, model.norms, strict=True)
    )
    assert all(torch.equal(value, other[key]) for other in others for key, value in first.items())
    assert len({block.mix[0].weight.data_ptr() for block in model.blocks}) == 8  # alike, not the same


def test_returns_an_image_and_every_stage(name, operator):
    model = make(name)
    result = model(operator(images(2)), operator)
    assert result.image.shape == (2, 3, *SHAPE)
    assert result.stages[-1] is result.image
    assert (len(result.stages) > 1) == model.supports_auxiliary_loss
    assert len(result.stages) == PAPER_STAGES.get(name, len(result.stages))
    assert len(result.solves) == (len(result.stages) if isinstance(model, EquilibriumModel) else 0)
    assert all(solve.forward.steps.shape == (2,) for solve in result.solves)


def test_every_parameter_learns(name, operator):
    model = make(name).train()
    truth = images(2)
    (model(operator(truth), operator).image - truth).square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.abs().sum() > 0 for p in model.parameters())


def test_every_parameter_learns_from_the_initial_weights_too(name, operator):
    model = MODELS[name](channels=3).train()
    truth = images(2)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    before = [p.detach().clone() for p in model.parameters()]
    for _ in range(2):
        optimizer.zero_grad()
        (model(operator(truth), operator).image - truth).square().mean().backward()
        optimizer.step()
    assert all(not torch.equal(p, old) for p, old in zip(model.parameters(), before, strict=True))


def test_both_policies_give_the_same_image_gradient_and_buffers(name, operator):
    truth = images(2)
    found = []
    for policy in POLICIES:
        model = make(name, policy=policy).double().train()
        image = model(operator(truth.double()), operator).image
        (image - truth).square().mean().backward()
        gradient = torch.cat([p.grad.flatten() for p in model.parameters()])
        found.append((image.detach(), gradient, *model.buffers()))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("noise", [0.0, 0.01], ids=["initial", "perturbed"])
def test_a_reconstruction_does_not_depend_on_its_batch(name, noise, operator):
    model = make(name, noise=noise).eval()
    y = operator(images(7))
    with torch.no_grad():
        whole = model(y, operator).image
        for size in (1, 2, 3):
            parts = torch.cat([model(part, operator).image for part in y.split(size)])
            assert (parts - whole).norm() / whole.norm() < 1e-6


def test_evaluation_changes_nothing_in_the_model(name, operator):
    model = make(name).eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with torch.no_grad():
        first = model(operator(images(1)), operator).image
        second = model(operator(images(1)), operator).image
    assert torch.equal(first, second)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("policy", POLICIES)
def test_statistics_and_singular_vectors_move_once_a_step(name, policy, operator):
    model = make(name, policy=policy).train()
    truth = images(2)
    result = model(operator(truth), operator)
    after_forward = {key: value.clone() for key, value in model.named_buffers()}
    (result.image - truth).square().mean().backward()
    assert all(torch.equal(value, after_forward[key]) for key, value in model.named_buffers())


def test_deq4ip_is_the_fixed_point_of_its_own_map(operator):
    model = make("deq4ip").eval()
    model.solver = replace(model.solver, max_steps=80, tolerance=1e-3, ridge=1e-4)
    with torch.no_grad():
        y = operator(images(1))
        result = model(y, operator)
        d = gradient_step(result.image, y, operator, model.step_size)
        weights = model.norm.weights(model.network)
        again = d + torch.func.functional_call(model.network, weights, (d,))
    assert result.solves[0].forward.converged.all()
    assert (again - result.image).norm() / again.norm() < 2e-3


def calls_of_a_step(name, policy):
    counter = CallCounter(GaussianBlur(image_shape=SHAPE, channels=3))
    model = make(name, policy=policy).train()
    truth = images(1)
    y = counter(truth)
    counter.reset()
    (model(y, counter).image - truth).square().mean().backward()
    return counter.calls


@pytest.mark.parametrize("policy", POLICIES)
def test_the_operator_is_applied_in_the_backward_pass_and_inside_solves_only_where_there_are_any(name, policy):
    calls = calls_of_a_step(name, policy)
    assert calls["forward", "reconstruct"] + calls["forward", "solve"] > 0
    assert calls["adjoint", "backward"] > 0
    assert calls["forward", "solve"] == 0 or isinstance(make(name), EquilibriumModel)


@pytest.mark.parametrize("name", PAPER_STAGES)
@pytest.mark.parametrize("policy", POLICIES)
def test_of_the_papers_models_only_deq4ip_applies_the_operator_inside_its_solve(name, policy):
    calls = calls_of_a_step(name, policy)
    assert (calls["forward", "solve"] > 0) == (name == "deq4ip")
    if name != "deq4ip":
        assert calls["forward", "reconstruct"] == calls["adjoint", "reconstruct"] == PAPER_STAGES[name]


def test_unknown_policy_is_refused(name):
    with pytest.raises(ValueError, match="unknown policy 'lavish'; known: paper, recompute"):
        MODELS[name](channels=3, policy="lavish")


def test_starting_image_is_y_for_deblurring_and_the_adjoint_elsewhere(operator):
    y = operator(images(1))
    assert starting_image(y, operator) is y
    fourier = SubsampledFourier(image_shape=SHAPE)
    k_space = fourier(images(1, channels=2))
    torch.testing.assert_close(starting_image(k_space, fourier), fourier.adjoint(k_space), rtol=1e-4, atol=1e-6)


def test_gradient_step_descends_the_data_misfit():
    operator = SubsampledFourier(image_shape=SHAPE)
    y = operator(images(1, channels=2))
    x = images(1, seed=9, channels=2)
    misfits = []
    for _ in range(4):
        misfits.append(float((operator(x) - y).abs().square().sum()))
        x = gradient_step(x, y, operator, torch.tensor(0.5))
    assert misfits == sorted(misfits, reverse=True)
    assert misfits[-1] < 0.1 * misfits[0]


def test_an_operator_that_measures_nothing_is_refused():
    operator = Radon((4, 4), num_angles=3, num_detectors=2, detector_spacing=50.0)
    with pytest.raises(ValueError, match="measures nothing"):
        MODELS["luser-sw"](channels=1)(torch.zeros(1, 1, 3, 2), operator)
