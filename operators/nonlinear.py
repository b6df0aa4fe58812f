"""Non-linear operators: derivatives come from the forward map, recomputed on demand."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from operators.base import ForwardOperator
from operators.validation import COMPLEX_DTYPES, REAL_DTYPES, require_dtype


class NonlinearOperator(ForwardOperator):
    """A smooth map A with A(0) = 0.

    A new operator writes ``_forward`` on batches in differentiable operations, samples independent of each
    other. The adjoint of its Jacobian is reverse-mode differentiation: exact for the discrete map. A graph lives
    only while a derivative is taken, so that training keeps an image per application and no more. An application
    of J(x)^H repeats A: it costs three to four times as much.
    """

    linear = False

    def _pullback(self, x: Tensor | None, v: Tensor) -> Tensor:
        assert x is not None
        require_dtype(v, REAL_DTYPES + COMPLEX_DTYPES, "measurement")
        require_dtype(x, REAL_DTYPES, "image")
        with _graph_of_its_own():
            x = x.detach().requires_grad_()
            y = self._forward(x)
            if v.dtype != y.dtype:
                raise ValueError(f"expected a measurement of {y.dtype}, got {v.dtype}")
            return torch.autograd.grad(y, x, v)[0]

    def _second_order(self, x: Tensor, v: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
        differentiable = torch.is_grad_enabled()
        with _graph_of_its_own():
            # New tensors, since v may depend on x: these are the partial derivatives.
            x, v = (t.view_as(t) if t.requires_grad and differentiable else t.detach().requires_grad_() for t in (x, v))
            (pulled,) = torch.autograd.grad(self._forward(x), x, v, create_graph=True)
            by_x, by_v = torch.autograd.grad(pulled, (x, v), direction, create_graph=differentiable)
        return by_x, by_v

    def _normal(self, x: Tensor) -> Tensor:
        empty = torch.zeros_like(x)
        _, forward = self._second_order(empty, torch.zeros_like(self._forward(empty)), x)
        return self._pullback(empty, forward)

    def _gramian(self, x: Tensor) -> Tensor:
        raise AssertionError("a non-linear operator has no gramian")


@contextmanager
def _graph_of_its_own() -> Iterator[None]:
    """Record a graph that is used up at once: a checkpoint around it, which drops what is saved, must not see it."""
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(lambda saved: saved, lambda saved: saved):
        yield
