"""The trace: affine in the batch, right against a real run's tensors, and blind to nothing it should see."""

import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from bench.memory.calibration import DOCUMENTED
from bench.memory.our_step import ShapeOperator, trace_training
from bench.memory.replay import replay
from bench.memory.trace import TraceError
from bench.training.step import Objective
from models import MODELS, POLICIES, Reconstruction, ReconstructionModel
from tests.models.kinds import takes

ROOT = Path(__file__).parents[3]
SHAPE = (3, 24, 20)
WITHOUT_HANDLES = replace(DOCUMENTED.low, handle_bytes=0)
OPERATOR = ShapeOperator(SHAPE, SHAPE, torch.float32)


def two_stages(name):
    """A short version of a model: the same rules, an eighth of the events."""
    return partial(MODELS[name], num_stages=2) if name in takes("num_stages") else MODELS[name]


def requested(trace, batch):
    """Live bytes after every event."""
    live, sizes, course = 0, {}, []
    for number, birth in trace.events:
        if birth:
            sizes[number] = WITHOUT_HANDLES.size(trace.requests[number], batch)
            live += sizes[number]
        else:
            live -= sizes.pop(number)
        course.append(live)
    return course


class OneLayer(ReconstructionModel):
    """x = conv(y): every tensor of its training step can be counted by hand."""

    def __init__(self, channels, policy="paper"):
        super().__init__(channels, policy)
        self.layer = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(self, y, operator):
        image = self.layer(y)
        return Reconstruction(image, (image,))


def test_peak_of_one_layer_by_hand():
    batch = 6
    image = 4 * batch * 3 * 24 * 20
    course = requested(trace_training(OneLayer, OPERATOR, "paper"), batch)
    # y, truth and the output are there when the loss's gradient with respect to the output is born.
    assert max(course) - 4 * image < 30_000
    assert max(course) >= 4 * image


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", MODELS)
def test_every_batch_follows_from_two(name, policy, monkeypatch):
    events = trace_training(two_stages(name), OPERATOR, policy)
    monkeypatch.setattr("bench.memory.trace.TRACED_BATCHES", (3, 5))
    assert trace_training(two_stages(name), OPERATOR, policy) == events


@pytest.mark.parametrize("name", MODELS)
def test_steps_leave_nothing_behind(name):
    course = requested(trace_training(two_stages(name), OPERATOR, "paper"), 8)
    model = two_stages(name)(channels=3)
    weights = 4 * sum(p.numel() for p in model.parameters())
    images = 2 * 4 * 8 * 3 * 24 * 20
    # Weights and Adam's two moments, y and the truth; buffers and step counters are small.
    assert 0 <= course[-1] - (3 * weights + images) < 0.15 * weights + 50_000


def test_recompute_keeps_a_fifth_at_most():
    large = ShapeOperator((3, 96, 96), (3, 96, 96), torch.float32)
    traces = [trace_training(MODELS["luser-sw"], large, policy) for policy in POLICIES]
    peaks = [replay(trace, 8, DOCUMENTED.low).peak_allocated for trace in traces]
    assert peaks[1] < peaks[0] / 5


def penalised_step(model, optimizer, operator, y, truth, loss, precision):
    objective = Objective(model, loss, precision)
    objective(y, operator, truth, lambda result: model.jacobian_penalty(y, operator, result, stage=1)).backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


@pytest.mark.parametrize("policy", POLICIES)
def test_what_the_jacobian_penalty_takes_does_not_grow_with_the_batch(policy, monkeypatch):
    plain = trace_training(two_stages("luser-dw"), OPERATOR, policy)
    monkeypatch.setattr("bench.memory.our_step.training_step", penalised_step)
    penalised = trace_training(two_stages("luser-dw"), OPERATOR, policy)
    assert len(penalised.requests) > len(plain.requests)
    small, large = (max(requested(penalised, batch)) - max(requested(plain, batch)) for batch in (8, 32))
    growth = (max(requested(plain, 32)) - max(requested(plain, 8))) / 24
    assert large <= small < 2 * growth  # less than two images more, at any batch


def test_complex_measurements_are_traced():
    fourier = ShapeOperator((2, 16, 16), (16, 16), torch.complex64)
    assert max(requested(trace_training(two_stages("luser-sw"), fourier, "paper"), 2)) > 0


class BatchSquared(OneLayer):
    """Requests grow with the square of the batch."""

    def forward(self, y, operator):
        flat = y.flatten(1)
        similarity = flat @ flat.T
        image = self.layer(y) * similarity.mean()
        return Reconstruction(image, (image,))


class BatchLoop(OneLayer):
    """As many requests as images."""

    def forward(self, y, operator):
        image = torch.cat([self.layer(part) for part in y.split(1)])
        return Reconstruction(image, (image,))


@pytest.mark.parametrize(("model", "message"), [(BatchSquared, "not affine"), (BatchLoop, "order of allocations")])
def test_what_is_not_affine_is_an_error_never_a_guess(model, message):
    with pytest.raises(TraceError, match=message):
        trace_training(model, ShapeOperator((3, 8, 8), (3, 8, 8), torch.float32), "paper")


class LooksAtValues(OneLayer):
    """Its course depends on what it computes."""

    def forward(self, y, operator):
        image = self.layer(y)
        return Reconstruction(image if bool(image.mean() > 0) else -image, (image,))


def test_a_step_that_depends_on_values_is_an_error_that_says_so():
    with pytest.raises(TraceError, match=r"depends on values .*a GPU can prove it"):
        trace_training(LooksAtValues, OPERATOR, "paper")


class FanOut(OneLayer):
    """Two uses of one large activation: autograd adds their gradients up."""

    def __init__(self, channels, policy="paper"):
        super().__init__(channels, policy)
        self.wide = nn.Conv2d(channels, 32, 1, bias=False)
        self.left, self.right = (nn.Conv2d(32, channels, 1, bias=False) for _ in range(2))

    def forward(self, y, operator):
        wide = self.wide(y).relu()  # its gradient needs it: it is there when the two are added
        image = self.left(wide) + self.right(wide)
        return Reconstruction(image, (image,))


def test_gradients_are_accumulated_in_place_as_without_a_dispatch_mode():
    batch, wide = 4, 4 * 32 * 24 * 20
    course = requested(trace_training(FanOut, OPERATOR, "paper"), batch)
    # The activation and its two gradients; a third gradient would be their sum in a place of its own.
    assert 3 * batch * wide <= max(course) < 3.9 * batch * wide


def test_requests_know_their_phase_and_layer():
    requests = trace_training(two_stages("luser-sw"), OPERATOR, "paper").requests
    assert {request.phase for request in requests} == {"setup", "forward", "backward", "optimiser"}
    layers = {request.layer for request in requests if request.phase == "forward"}
    assert {"blocks.0.mix.0", "blocks.0.data.1", "outside layers"} <= layers
    assert all(request.layer for request in requests)


def test_a_rebuilt_stage_belongs_to_its_layers():
    requests = trace_training(two_stages("luser-sw"), OPERATOR, "recompute").requests
    images = 4 * 3 * 24 * 20
    large = {request.layer for request in requests if request.phase == "backward" and request.size.slope > 8 * images}
    assert {"blocks.0.data.3", "blocks.0.mix.0", "blocks.0.mix.3"} <= large


def test_hidden_calls_lie_between_bounds_and_convolutions_among_them():
    trace = trace_training(two_stages("luser-sw"), OPERATOR, "paper")
    hidden = [request for request in trace.requests if request.call]
    assert all(0 <= request.low.at(8) <= request.size.at(8) for request in hidden)
    assert any("aten.convolution.default" in request.call for request in hidden)
    low, high = (replay(trace, 8, rules).peak_reserved for rules in (DOCUMENTED.low, DOCUMENTED.high))
    assert low < high


class Windowed(OneLayer):
    """Makes a window, whose constant torch keeps from the first call on."""

    def forward(self, y, operator):
        image = self.layer(y) * torch.hann_window(y.shape[-1], device=y.device)
        return Reconstruction(image, (image,))


class Normed(OneLayer):
    """Has one of torch's parametrizations, which works from its second use on fake tensors on."""

    def __init__(self, channels, policy="paper"):
        super().__init__(channels, policy)
        self.layer = nn.utils.parametrizations.spectral_norm(self.layer)


@pytest.mark.parametrize("model", [Windowed, Normed])
def test_a_first_trace_is_as_the_second(model):
    script = f"""
import torch
from tests.bench.memory.test_trace import OPERATOR, {model.__name__}, trace_training
first, second = (trace_training({model.__name__}, OPERATOR, "paper") for _ in range(2))
assert first == second
assert min(request.size.slope for request in first.requests) >= 0
"""
    answer = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr


class Shrinking(OneLayer):
    """A request that falls with the batch."""

    def forward(self, y, operator):
        image = self.layer(y) + y.new_zeros(100 - len(y)).sum()
        return Reconstruction(image, (image,))


def test_a_request_that_falls_with_the_batch_is_refused():
    with pytest.raises(TraceError, match="falls with it"):
        trace_training(Shrinking, OPERATOR, "paper")
