"""Quick fake tensors are torch's, and what is told of a step on them too."""

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensor, FakeTensorMode

from bench.memory import trace
from bench.memory.fakes import QuickFakeTensorMode
from bench.memory.our_step import ShapeOperator, _step_of
from models import MODELS

OPERATOR = ShapeOperator((3, 32, 24), (3, 32, 24), torch.float32)


class TorchsOwn(FakeTensorMode):
    """Knows no result before torch has made it."""

    def known(self, func, args, kwargs):
        return NotImplemented


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("model", ["lu-dncnn", "deq4ip"])
def test_a_step_is_recorded_as_with_torchs_own_fake_tensors(model, precision, monkeypatch):
    make_step = _step_of(MODELS[model], OPERATOR, "recompute", precision, False)
    trace.record_step(make_step, 2, precision)  # what a first step makes for good
    quick = trace.record_step(make_step, 2, precision)
    monkeypatch.setattr(trace, "QuickFakeTensorMode", TorchsOwn)
    slow = trace.record_step(make_step, 2, precision)
    assert (quick.sizes, quick.notes) == (slow.sizes, slow.notes)
    assert quick.finished_events() == slow.finished_events()


def results(x, layer):
    """Return what many operations make, each asked for by itself."""
    view = x.reshape(2, -1)[:, 3:9]
    pairs = torch.stack((x, x), -1)
    yield from (view, x.transpose(0, 1), x.expand(4, *x.shape), x.unbind(0)[1], x.clone(), x.mean((1, 2)))
    yield from (layer(x), torch.view_as_complex(pairs), torch.view_as_complex(pairs).conj(), torch.fft.rfft2(x))
    yield from (x.clone().add_(1), x.double(), x > 0, x.to(memory_format=torch.channels_last), x * 1, x.long() * 1.0)
    yield from (
        x.max(1).values,
        *x.chunk(2, 1),
        torch.zeros(3),
        torch.zeros(3, dtype=torch.int64),
        x[0, 0].clone().t_(),
    )


def described(tensor):
    place = (tensor.shape, tensor.stride(), tensor.storage_offset(), tensor.dtype, tensor.device)
    return (*place, tensor.is_conj(), tensor.untyped_storage().nbytes(), tensor.requires_grad, tensor._version)


def test_operations_make_what_torchs_fake_tensors_do_the_second_time_too():
    found = []
    for mode in (FakeTensorMode(), QuickFakeTensorMode()):
        with mode:
            x, layer = torch.empty(2, 4, 6, 6), nn.Conv2d(4, 8, 3)
            found += [[described(one) for one in results(x, layer)] for _ in range(3)]
    assert all(one == found[0] for one in found)


def test_a_view_lives_in_what_it_is_a_view_of():
    with QuickFakeTensorMode():
        for _ in range(2):
            x = torch.empty(4, 4)
            assert x.t().untyped_storage()._cdata == x.untyped_storage()._cdata
            assert x.clone().untyped_storage()._cdata != x.untyped_storage()._cdata
            assert x.add_(1) is x


def test_values_are_still_asked_for_in_vain():
    with QuickFakeTensorMode():
        for _ in range(2):
            assert isinstance(torch.tensor(2.0) * torch.ones(3), FakeTensor)
            assert torch.tensor(2.0).item() == 2.0
            with pytest.raises(DataDependentOutputException):
                torch.ones(3).sum().item()


def test_networks_are_built_by_the_numbers_of_a_short_range():
    with QuickFakeTensorMode():
        assert [value.item() for value in torch.linspace(0, 0.5, 3)] == [0, 0.25, 0.5]
        assert [value.item() for value in torch.arange(1, 6, 2)] == [1, 3, 5]
        assert torch.arange(2, 9).dtype == torch.int64
        with pytest.raises(DataDependentOutputException):
            torch.linspace(0, 1, 10**7)[3].item()


def test_weights_are_not_drawn_until_they_please():
    def make_step(batch):
        layer = nn.Linear(4, 4)
        nn.init.trunc_normal_(layer.weight, std=5.0)
        return lambda: layer(torch.zeros(batch, 4)).sum().backward()

    assert trace.trace_step(make_step).requests
    weight = torch.zeros(4)
    assert nn.init.trunc_normal_(weight).abs().sum() > 0  # outside, all is as before
