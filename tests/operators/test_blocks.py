import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from operators import GaussianBlur, SubsampledFourier, blocks

SIZES = [(12, 10), (9, 15)]


def results(operator, x):
    y = operator(x)
    return y, operator.adjoint(y), operator.gramian(x)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("make", [GaussianBlur, SubsampledFourier])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch", [1, 2, 3, 5, 8])
def test_blocks_change_no_bit(monkeypatch, make, size, dtype, batch):
    operator = make(size)
    x = torch.randn(batch, *operator.image_shape, dtype=dtype, generator=torch.Generator().manual_seed(batch))
    whole = results(operator, x)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1)
    for block, one in zip(results(operator, x), whole, strict=True):
        assert torch.equal(block, one)


def test_number_of_blocks(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 16)
    batch = torch.zeros(7, 4)  # 16 bytes a sample: two in a block of two threads
    assert blocks.num_blocks(batch) == 3
    assert blocks.num_blocks(batch[:1]) == 1
    assert blocks.num_blocks(batch[:0]) == 1
    assert blocks.num_blocks(batch, least=3) == 2
    assert blocks.num_blocks(batch.to("meta")) == 1


def test_fake_tensors_stand_for_a_gpu_and_stay_whole(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1)
    with FakeTensorMode():
        assert blocks.num_blocks(torch.zeros(8, 4)) == 1
