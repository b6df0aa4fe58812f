"""Forward operators of the inverse problems, each with its exact adjoint.

Adding one: a file with a ``LinearOperator`` that writes ``_forward`` and ``_adjoint``, or a ``NonlinearOperator``
that writes ``_forward``, and a line in ``OPERATORS``; the contract tests then run over it unchanged.
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
