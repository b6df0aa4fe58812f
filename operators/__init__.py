"""Forward operators of the inverse problems, each with its exact adjoint.

Adding one: a file with a ``LinearOperator`` that writes ``_forward`` and ``_adjoint``, or a ``NonlinearOperator``
that writes ``_forward``, and a line in ``OPERATORS``; the contract tests then run over it unchanged.

Examples:
    >>> import torch
    >>> from operators import LinearOperator
    >>> class Flip(LinearOperator):
    ...     def _forward(self, x):
    ...         return x.flip(-1)
    ...
    ...     def _adjoint(self, y):
    ...         return y.flip(-1)
    >>> A = Flip(image_shape=(1, 1, 3), data_shape=(1, 1, 3))
    >>> A @ torch.tensor([[[[1.0, 2.0, 3.0]]]])
    tensor([[[[3., 2., 1.]]]])
    >>> (3 * A.H @ A).norm()
    3.0
"""

from collections.abc import Callable

from operators.algebra import Identity, Stack, stack
from operators.base import ForwardOperator, LinearOperator
from operators.blur import GaussianBlur
from operators.bridges.deepinv import from_deepinv, to_deepinv
from operators.bridges.scipy import from_scipy, to_scipy
from operators.diffraction import Diffraction
from operators.fourier import SubsampledFourier
from operators.nonlinear import NonlinearOperator
from operators.phases import PHASES, Phase, current_phase, phase
from operators.radon import Radon
from operators.wrappers.counting import CallCounter
from operators.wrappers.slowed import Slowed

OPERATORS: dict[str, Callable[..., ForwardOperator]] = {
    "gaussian-blur": GaussianBlur,
    "subsampled-fourier": SubsampledFourier,
    "radon": Radon,
    "diffraction": Diffraction,
}
"""Name -> operator, constructible as ``OPERATORS[name](image_shape=(H, W))`` at any image size."""

__all__ = [
    "OPERATORS",
    "PHASES",
    "CallCounter",
    "Diffraction",
    "ForwardOperator",
    "GaussianBlur",
    "Identity",
    "LinearOperator",
    "NonlinearOperator",
    "Phase",
    "Radon",
    "Slowed",
    "Stack",
    "SubsampledFourier",
    "current_phase",
    "from_deepinv",
    "from_scipy",
    "phase",
    "stack",
    "to_deepinv",
    "to_scipy",
]
