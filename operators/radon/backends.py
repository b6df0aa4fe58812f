"""The projectors that ``Radon`` chooses from, by name."""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import numpy as np
import torch
from numpy.typing import NDArray

from operators.radon.joseph import ParallelBeam
from operators.radon.projector import Projector


def _matrix(geometry: ParallelBeam, angles: NDArray[np.float64]) -> Projector:
    from operators.radon.matrix_backend import MatrixProjector

    return MatrixProjector(geometry, angles)


def _triton(geometry: ParallelBeam, angles: NDArray[np.float64]) -> Projector:
    _require("triton", "triton", "'triton', which comes with PyTorch's CUDA builds: pip install triton")
    from operators.radon.triton_backend import TritonProjector

    return TritonProjector(geometry, angles)


def _astra(geometry: ParallelBeam, angles: NDArray[np.float64]) -> Projector:
    _require("astra", "astra", "'astra-toolbox', the extra 'astra' of this project: pip install '.[astra]'")
    from operators.radon.astra_backend import AstraProjector

    return AstraProjector(geometry, angles)


def _torch_radon(geometry: ParallelBeam, angles: NDArray[np.float64]) -> Projector:
    library = _require("torch-radon", "torch_radon", "'torch-radon': conda install -c conda-forge torch-radon")
    from operators.radon.torch_radon_backend import TorchRadonProjector

    return TorchRadonProjector(geometry, angles, library)


BACKENDS: dict[str, Callable[[ParallelBeam, NDArray[np.float64]], Projector]] = {
    "matrix": _matrix,
    "triton": _triton,
    "astra": _astra,
    "torch-radon": _torch_radon,
}
"""Name -> projector of a scan. A backend's library is imported only when the backend is asked for."""


def backend_for(device: torch.device) -> str:
    """Say what ``backend="auto"`` means on a device: Triton's kernels on CUDA where Triton is, else the matrix."""
    return "triton" if device.type == "cuda" and find_spec("triton") is not None else "matrix"


def require_backend(name: str) -> str:
    """Return the name of a backend.

    Args:
        name: as the user wrote it.

    Raises:
        ValueError: if there is no such backend.
    """
    if name != "auto" and name not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(('auto', *BACKENDS))}; got {name!r}")
    return name


def _require(backend: str, module: str, what: str) -> ModuleType:
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(f"backend {backend!r} needs {what}") from error
