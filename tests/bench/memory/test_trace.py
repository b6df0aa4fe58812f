"""The trace: affine in the batch, right against a real run's tensors, and blind to nothing it should see."""

from functools import partial

import pytest
import torch
from torch import nn

from bench.memory.trace import ShapeOperator, TraceError, replay, trace_training
from models import MODELS, POLICIES, Reconstruction, ReconstructionModel

SHAPE = (3, 24, 20)
OPERATOR = ShapeOperator(SHAPE, SHAPE, torch.float32)


def two_stages(name):
    """A short version of a model: the same rules, an eighth of the events."""
    return MODELS[name] if name == "deq4ip" else partial(MODELS[name], num_stages=2)


def requested(events, batch):
    """Live bytes after every event."""
    live, sizes, course = 0, {}, []
    for event in events:
        if event.birth:
            sizes[event.storage] = event.base_bytes + event.slope_bytes * batch
            live += sizes[event.storage]
        else:
            live -= sizes.pop(event.storage)
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
    assert course[-1] - (3 * weights + images) < 0.15 * weights + 50_000


def test_recompute_keeps_a_fifth_at_most():
    large = ShapeOperator((3, 96, 96), (3, 96, 96), torch.float32)
    peaks = [replay(trace_training(MODELS["luser-sw"], large, policy), 8).peak_allocated_bytes for policy in POLICIES]
    assert peaks[1] < peaks[0] / 5


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
