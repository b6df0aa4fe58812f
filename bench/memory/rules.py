"""Allocations of CUDA's libraries inside an operation, which a trace on fake tensors does not show.

Each such call gets a best guess between two bounds, in bytes. Which of them is used, or what was measured in their
place, is decided when a trace is replayed: see ``calibration.py``. Convolutions are in ``convolutions.py``.

Sources: aten/src/ATen/native/cuda/group_norm_kernel.cu and ATen/cuda/CublasHandlePool.cpp of torch 2.9 to 2.13;
cuFFT's documentation of work areas.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from bench.memory.convolutions import Bounds
from bench.memory.storage import tensors_in
from bench.records import MIB

aten = torch.ops.aten


CUBLAS_WORKSPACE = Bounds((2 * 4096 + 8 * 16) * 1024, 32 * MIB, 32 * MIB)
"""One for every thread's handle, from its first product on: 32 MiB on compute capability 9.0, elsewhere two pieces of
4 MiB and eight of 16 KiB. It stays where it lies and may spoil a large block for good: the guess is the most."""
HANDLE = "cublas.workspace"
"""The name of that request among the calls of a trace."""
CUBLAS = {aten.mm, aten.bmm, aten.addmm, aten.baddbmm, aten.addmv, aten.mv}


def bounds(operation: Any, arguments: Sequence[Any], results: Any) -> Bounds | None:
    """Return what a call may take beside its results, None for a call that takes nothing.

    Args:
        operation: the overload that is dispatched, e.g. ``aten.convolution.default``.
        arguments: its positional arguments.
        results: what it returned.
    """
    rule = _RULES.get(operation)
    return None if rule is None else rule(arguments, results)


def _group_norm(arguments: Sequence[Any], results: Any) -> Bounds:
    """Two float32 values per sample and channel: the affine map that statistics, weight and bias make together."""
    images: Tensor = arguments[0]
    size = 2 * 4 * images.shape[0] * images.shape[1]
    return Bounds(size, size, size)


def _group_norm_backward(arguments: Sequence[Any], results: Any) -> Bounds:
    """Two sums and at most three coefficients per sample and channel."""
    images: Tensor = arguments[1]
    size = 4 * images.shape[0] * images.shape[1]
    return Bounds(2 * size, 2 * size, 5 * size)


def _batch_norm(arguments: Sequence[Any], results: Any) -> Bounds:
    """CuDNN's reserve: a mask of its inputs at most."""
    return Bounds(0, 0, arguments[0].numel())


def _fourier(arguments: Sequence[Any], results: Any) -> Bounds:
    """CuFFT's work area is as large as its data at most, and an input it would overwrite is copied."""
    return Bounds(0, 0, 2 * max(tensor.nbytes for tensor in tensors_in((arguments, results))))


_RULES: dict[Any, Callable[[Sequence[Any], Any], Bounds]] = {
    aten.native_group_norm.default: _group_norm,
    aten.native_group_norm_backward.default: _group_norm_backward,
    aten.native_batch_norm.default: _batch_norm,
    aten.native_batch_norm_backward.default: _batch_norm,
    aten._fft_c2c.default: _fourier,
    aten._fft_r2c.default: _fourier,
    aten._fft_c2r.default: _fourier,
}


class CudaAutocast(TorchFunctionMode):
    """Casts to float32 what CUDA's autocast does and the CPU's does not, so that a trace has CUDA's dtypes.

    Source: "CUDA Ops that autocast to float32" in torch's documentation of automatic mixed precision.
    """

    FULL_PRECISION = {F.group_norm, F.layer_norm, F.softmax, F.log_softmax, F.l1_loss, F.smooth_l1_loss}

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call a function, on float32 where CUDA would."""
        if func in self.FULL_PRECISION and torch.is_autocast_enabled("cpu"):
            args = tuple(_full(arg) for arg in args)
            kwargs = {name: _full(value) for name, value in (kwargs or {}).items()}
        return func(*args, **(kwargs or {}))


def _full(value: Any) -> Any:
    half = isinstance(value, Tensor) and value.dtype in (torch.bfloat16, torch.float16)
    return value.float() if half else value
