"""cuDNN's workspaces: by precision, TF32 and memory format, and where in a step they are taken."""

import json

import pytest
import torch
from torch import nn

from bench.memory.calibration import DOCUMENTED
from bench.memory.convolutions import ConvolutionPart, pinned, with_tf32
from bench.memory.options import MemoryQuestion
from bench.memory.questions import memory_specs
from bench.memory.replay import fits, replay
from bench.memory.simulate import simulate
from bench.memory.trace import trace_step
from bench.records import GIB, MIB

LAST = torch.channels_last
VALUES = 2 * 3 * 8 * 16 * 16
"""Of image and result of the part below."""


def part(dtype=torch.float32, memory_format=torch.contiguous_format, gradient="", groups=1):
    images = torch.zeros(3, 8, 16, 16, dtype=dtype).to(memory_format=memory_format)
    return ConvolutionPart(images, torch.zeros(8, 8 // groups, 3, 3), images, (1, 1), groups, gradient)


@pytest.mark.parametrize(
    ("workspaces", "options", "per_value"),
    [
        (pinned, {}, (0, 0, 0)),
        (pinned, {"memory_format": LAST}, (4, 4, 4)),
        (pinned, {"memory_format": LAST, "gradient": "weight"}, (0, 0, 0)),
        (pinned, {"dtype": torch.bfloat16}, (2.0, 2.2, 2.2)),
        (pinned, {"dtype": torch.bfloat16, "memory_format": LAST}, (0, 0, 0)),
        (with_tf32, {}, (0, 4.0, 4.4)),
        (with_tf32, {"memory_format": LAST}, (0, 0, 4.4)),
        (with_tf32, {"dtype": torch.bfloat16}, (2.0, 2.2, 2.2)),
    ],
)
def test_a_workspace_follows_the_flags(workspaces, options, per_value):
    low, expected, high = workspaces(part(**options))
    assert (low, expected, high - MIB) == tuple(round(VALUES * bytes_) for bytes_ in per_value)


def test_torchs_own_kernels_filter_channels_one_by_one_without_a_workspace():
    assert with_tf32(part(groups=8)) == (0, 0, 0)
    assert with_tf32(part(groups=2)).expected > 0


def trained(channels, **options):
    """A training step of two convolutions."""

    def make_step(batch):
        network = nn.Sequential(nn.Conv2d(3, channels, 3, padding=1), nn.Conv2d(channels, 3, 3, padding=1))
        optimizer = torch.optim.Adam(network.parameters(), foreach=True)
        images = torch.zeros(batch, 3, 16, 16)

        def step():
            optimizer.zero_grad()
            network(images).square().mean().backward()
            optimizer.step()

        return step

    return trace_step(make_step, **options)


def test_each_gradient_takes_its_workspace_after_its_result_and_before_the_next():
    trace = trained(8, workspaces=with_tf32)
    hidden = [number for number, request in enumerate(trace.requests) if "convolution_backward" in request.call]
    births = [number for number, birth in trace.events if birth]
    masks = [json.loads(trace.requests[number].call)[1][10] for number in hidden]
    # A step has the gradients of the second layer's images and weight, and of the first one's weight.
    assert masks == 2 * [[True, False, False], [False, True, False], [False, True, False]]
    sizes = [trace.requests[births[births.index(number) - 1]].size for number in hidden[:3]]
    assert [size.at(5) for size in sizes] == [4 * 5 * 8 * 16 * 16, 4 * 8 * 3 * 9, 4 * 3 * 8 * 9]


def test_tf32_takes_more_and_both_bounds_hold_the_guess():
    plain, tf32 = trained(64), trained(64, workspaces=with_tf32)
    peaks = [replay(trace, 32, DOCUMENTED.expected).peak_allocated for trace in (plain, tf32)]
    assert peaks[0] < peaks[1]
    low, high = (replay(tf32, 32, rules).peak_allocated for rules in (DOCUMENTED.low, DOCUMENTED.high))
    assert low < peaks[1] <= high


def test_a_workspace_that_cannot_be_had_makes_a_convolution_slower_not_impossible():
    trace = trained(64, workspaces=with_tf32)
    rules = DOCUMENTED.expected
    enough = replay(trace, 256, rules).peak_reserved + rules.context_bytes
    assert fits(trace, 256, enough, rules)
    less = next(cap for cap in range(enough, 0, -MIB) if not fits(trace, 256, cap, rules))
    assert fits(trace, 256, less, rules, slower=True)
    assert not fits(trace, 256, rules.context_bytes + 4 * MIB, rules, slower=True)


def test_the_first_choice_decides_and_the_slower_ones_are_noted():
    question = MemoryQuestion(image_shape=(64, 64), tf32=True)
    spec, *_ = memory_specs(["deblur"], ["luser-sw"], ["recompute"], [2 * GIB], "simulate", question)
    found = simulate(spec, (1, 1))
    assert found.slower_batch > found.max_batch
    plain = spec.model_copy(update={"tf32": False})
    assert simulate(plain, (1, 1)).slower_batch is None
    assert simulate(plain, (1, 1)).max_batch >= found.slower_batch
