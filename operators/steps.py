"""One application as a step of a graph; imported when the first graph is made, since the compiler comes with it."""

import torch
from torch import Tensor

from operators.compiled import DIFFERENTIABLE, Opaque


@torch.compiler.allow_in_graph
def step(method: str, key: str, *tensors: Tensor | None) -> Tensor:
    """Apply an operator, differentiable to any order and in every transform of ``torch.func``.

    Args:
        method: ``forward``, ``pullback`` or ``gramian``.
        key: of the operator.
        tensors: what the method takes: images (B, *image_shape), but None for a linear operator's pullback, and
            for a pullback measurements (B, *data_shape).
    """
    return DIFFERENTIABLE[method](*tensors, Opaque(key))
