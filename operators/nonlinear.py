"""Non-linear operators: derivatives come from the forward map, recomputed on demand."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, cast

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

    Examples:
        >>> import torch
        >>> from operators import NonlinearOperator
        >>> class Square(NonlinearOperator):
        ...     def _forward(self, x):
        ...         return x * x
        >>> A = Square((2,), (2,))
        >>> x = torch.tensor([[1.0, 3.0]])
        >>> A(x), A.pullback(x, torch.ones(1, 2))
        (tensor([[1., 9.]]), tensor([[2., 6.]]))
    """

    linear = False

    def _pullback(self, x: Tensor | None, v: Tensor) -> Tensor:
        assert x is not None
        require_dtype(v, REAL_DTYPES + COMPLEX_DTYPES, "measurement")
        require_dtype(x, REAL_DTYPES, "image")
        learns = torch.is_grad_enabled()
        with _unlocked():
            x, v = (t.clone() if t.is_inference() else t for t in (x, v))
            if learns or torch._C._are_functorch_transforms_active():
                return self._pulled(x, v)
            with _graph_of_its_own():
                x = x.detach().requires_grad_()
                return torch.autograd.grad(self._measured(x, v), x, v)[0]

    def _measured(self, x: Tensor, like: Tensor) -> Tensor:
        y = self._forward(x)
        if like.dtype != y.dtype:
            raise ValueError(f"expected a measurement of {y.dtype}, got {like.dtype}")
        return y

    def _second_order(self, x: Tensor, v: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
        differentiable = torch.is_grad_enabled()
        if torch._C._are_functorch_transforms_active():  # where plain autograd is refused
            return torch.func.vjp(self._pulled, x, v)[1](direction)
        x, v = (torch._C._functorch.unwrap_if_dead(t) for t in (x, v))  # saved in a transform that is over
        with _graph_of_its_own():
            # New tensors, since v may depend on x: these are the partial derivatives.
            x, v = (t.view_as(t) if t.requires_grad and differentiable else t.detach().requires_grad_() for t in (x, v))
            (pulled,) = torch.autograd.grad(self._forward(x), x, v, create_graph=True)
            by_x, by_v = torch.autograd.grad(
                pulled, (x, v), direction, create_graph=differentiable, allow_unused=True, materialize_grads=True
            )
        return by_x, by_v

    def _pulled(self, x: Tensor, v: Tensor) -> Tensor:
        return cast(Tensor, torch.func.vjp(lambda image: self._measured(image, v), x)[1](v)[0])

    def _normal(self, x: Tensor) -> Tensor:
        return normal_about_zero(self, x)

    def _gramian(self, x: Tensor) -> Tensor:
        raise AssertionError("a non-linear operator has no gramian")


def normal_about_zero(operator: ForwardOperator, x: Tensor) -> Tensor:
    """Return J(0)^H J(0) x of an operator that is not linear, without autograd."""
    empty = torch.zeros_like(x)
    _, forward = operator._second_order(empty, torch.zeros_like(operator._forward(empty)), x)
    return operator._pullback(empty, forward)


@contextmanager
def _graph_of_its_own() -> Iterator[None]:
    """Record a graph that is used up at once: a checkpoint around it, which drops what is saved, must not see it."""
    # There are none in ``torch.func``, which forbids such hooks.
    checkpoints = torch._C._autograd._saved_tensors_hooks_is_enabled()  # type: ignore[attr-defined]
    unseen = torch.autograd.graph.saved_tensors_hooks(lambda saved: saved, lambda saved: saved)
    with torch.enable_grad(), unseen if checkpoints else nullcontext():
        yield


def _unlocked() -> AbstractContextManager[Any]:
    """Leave inference mode, in which nothing is differentiated."""
    return torch.inference_mode(False) if torch.is_inference_mode_enabled() else nullcontext()
