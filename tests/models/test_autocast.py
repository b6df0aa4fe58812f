"""Mixed precision: the networks in bfloat16, the physics and the solvers' algebra in float32."""

import pytest
import torch

from bench.training.step import compute_gradients
from models import MODELS, POLICIES, Anderson
from models.equilibrium.implicit import implicit_fixed_point
from models.equilibrium.problem import Context, FixedPointProblem
from operators import GaussianBlur, Radon, SubsampledFourier


def gradients(name, policy, precision, make_operator=GaussianBlur):
    torch.manual_seed(0)
    operator = make_operator(image_shape=(16, 16))
    model = MODELS[name](channels=operator.image_shape[0], policy=policy)
    truth = torch.rand(2, *operator.image_shape, generator=torch.Generator().manual_seed(1))
    model.train()
    report = compute_gradients(model, operator, operator(truth), truth, "final", precision=precision)
    return report, torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", MODELS)
def test_a_step_in_mixed_precision_stays_near_full_precision(name, policy):
    full, exact = gradients(name, policy, "fp32")
    mixed, rough = gradients(name, policy, "bf16")
    assert mixed.loss.dtype == torch.float32
    torch.testing.assert_close(mixed.loss, full.loss, rtol=0.02, atol=0)
    # 136 layers that normalise by two small images each scatter bfloat16's rounding: LU-DnCNN's direction suffers.
    least = 0.2 if name == "lu-dncnn" else 0.95
    assert torch.nn.functional.cosine_similarity(exact, rough, dim=0) > least


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("make_operator", [Radon, SubsampledFourier])
def test_physics_stays_in_full_precision_in_the_backward_pass_too(make_operator, policy, monkeypatch):
    seen = set()
    for name in ("_forward", "_adjoint"):
        original = getattr(make_operator, name)

        def spy(self, tensor, original=original):
            seen.add((tensor.dtype.to_real(), torch.is_autocast_enabled("cpu")))
            return original(self, tensor)

        monkeypatch.setattr(make_operator, name, spy)
    report, _ = gradients("luser-dw", policy, "bf16", make_operator)
    assert report.norm.isfinite()
    assert seen == {(torch.float32, False)}


class Halves(FixedPointProblem):
    """z = z W / 2 + x as a matrix product, which autocast runs in bfloat16."""

    def prepare(self, *inputs):
        x, weight = inputs
        return Context((x,), (weight,))

    def step(self, z, context):
        seen.append((z @ context.shared[0]).dtype)
        return z @ context.shared[0] / 2 + context.samples[0]

    def finish(self, z, context):
        return z

    def fixed_point_of(self, output, context):
        return output


seen: list[torch.dtype] = []


@pytest.mark.parametrize("backward", [False, True])
def test_the_map_runs_in_the_lower_precision_and_the_fixed_point_does_not(backward):
    seen.clear()
    x = torch.rand(2, 8, generator=torch.Generator().manual_seed(0))
    weight = torch.eye(8).requires_grad_(backward)
    with torch.autocast("cpu", torch.bfloat16):
        result = implicit_fixed_point(
            Halves(), (x, weight), torch.zeros(2, 8), solver=Anderson(max_steps=20, tolerance=1e-3)
        )
    assert result.output.dtype == torch.float32
    torch.testing.assert_close(result.output.detach(), 2 * x, rtol=0.02, atol=0)
    if backward:
        result.output.sum().backward()
        assert weight.grad.dtype == torch.float32
    assert set(seen) == {torch.bfloat16}  # rebuilt in the backward pass too, outside the context
