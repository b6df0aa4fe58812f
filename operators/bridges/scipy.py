"""Bridges to SciPy's ``LinearOperator``, which PyLops' operators are too."""

import math
from collections.abc import Iterable, Iterator
from types import FunctionType, MethodType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import issparse
from torch import Tensor

from operators.base import ForwardOperator, LinearOperator
from operators.validation import COMPLEX_DTYPES, REAL_DTYPES, require_dtype

_SEEN = (np.ndarray, np.generic, Tensor, int, float, complex, str)
_COUNTS = {"matvec_count", "rmatvec_count", "matmat_count", "rmatmat_count"}
"""What PyLops counts of an operator's applications."""
_COPY = "_MatrixLinearOperator__adj"
"""Where SciPy's matrices keep a copy of their adjoint, which would not follow a change of the matrix."""


class _ScipyOperator(LinearOperator):
    """A matrix-like object on flattened images; it runs on the CPU, in its own precision."""

    def __init__(self, matrix: Any, image_shape: tuple[int, ...], data_shape: tuple[int, ...]) -> None:
        for what, shape, size in (("image", image_shape, matrix.shape[1]), ("data", data_shape, matrix.shape[0])):
            if math.prod(shape) != size:
                raise ValueError(f"{what}_shape {shape} has {math.prod(shape)} entries, the operator wants {size}")
        super().__init__(image_shape, data_shape)
        self.matrix = matrix
        self._complex_data = np.issubdtype(matrix.dtype, np.complexfloating)
        self._matrices = [part for part in _contents(matrix, set()) if hasattr(part, _COPY)]

    def _forward(self, x: Tensor) -> Tensor:
        require_dtype(x, REAL_DTYPES, "image")
        return _on_columns(self._times, x, self.data_shape, x.dtype.to_complex() if self._complex_data else x.dtype)

    def _adjoint(self, y: Tensor) -> Tensor:
        if y.is_complex() != self._complex_data:
            raise ValueError(f"expected a {'complex' if self._complex_data else 'real'} measurement, got {y.dtype}")
        require_dtype(y, COMPLEX_DTYPES if self._complex_data else REAL_DTYPES, "measurement")
        return _on_columns(self._transposed_times, y, self.image_shape, y.dtype.to_real())

    def _times(self, columns: NDArray[Any]) -> NDArray[Any]:
        return self.matrix.matmat(columns) if hasattr(self.matrix, "matmat") else self.matrix @ columns

    def _transposed_times(self, columns: NDArray[Any]) -> NDArray[Any]:
        if hasattr(self.matrix, "rmatmat"):
            for part in self._matrices:
                setattr(part, _COPY, None)
            return self.matrix.rmatmat(columns)
        return (self.matrix.T @ columns.conj()).conj() if self._complex_data else self.matrix.T @ columns

    @property
    def learns(self) -> bool:
        """Never: NumPy knows no gradients."""
        return False

    def _watched(self) -> Iterator[Any]:
        for value in _contents(self.matrix, set()):
            if isinstance(value, _SEEN) and not (isinstance(value, np.ndarray) and value.dtype.hasobject):
                yield value


def _contents(value: Any, seen: set[int]) -> Iterator[Any]:
    """Matrices that an object consists of, arrays, tensors and numbers, as far as attributes and closures tell."""
    if isinstance(value, _SEEN):
        yield value
    elif isinstance(value, ForwardOperator):
        yield from value._watched()
    elif id(value) not in seen:
        seen.add(id(value))
        yield value
        for part in _parts(value):
            yield from _contents(part, seen)


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, (tuple, list)):
        return value
    if isinstance(value, MethodType):
        return (value.__self__,)
    if isinstance(value, FunctionType):
        return [cell.cell_contents for cell in value.__closure__ or ()]
    if issparse(value) and value.format in ("dok", "lil"):  # whose entries are no arrays
        return list(vars(value.tocoo()).values())
    if not (issparse(value) or hasattr(value, "rmatvec")):
        return ()
    return [part for name, part in vars(value).items() if name not in _COUNTS]


def _on_columns(apply: Any, batch: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Apply a map of (N, B) arrays to a batch (B, ...); of complex images the real part is kept."""
    if len(batch) == 0:
        return batch.new_zeros((0, *shape), dtype=dtype)
    columns = batch.flatten(1).cpu().numpy().T
    # A copy: some return their argument, or memory that others write to or may not write to.
    result = torch.from_numpy(np.array(apply(columns).T, order="C"))
    result = result.real if result.is_complex() and not dtype.is_complex else result
    return result.reshape(len(batch), *shape).to(batch.device, dtype).contiguous()


def from_scipy(
    operator: Any, *, image_shape: tuple[int, ...] | None = None, data_shape: tuple[int, ...] | None = None
) -> LinearOperator:
    """Make an operator of a SciPy or PyLops ``LinearOperator``, a sparse matrix or an array.

    Batches go through NumPy on the CPU, one column an image. Images are real: of A^H y the real part is the
    adjoint under the real inner product. Arrays are not copied: what is computed follows a change of theirs. So does
    the norm, where arrays are attributes of what is given or in closures of its functions; of others ``forget_norm``
    says that they have changed.

    Args:
        operator: (M, N) with ``matvec`` and ``rmatvec``, or what ``scipy.sparse.linalg.aslinearoperator`` takes.
        image_shape: of one image, N entries; PyLops' ``dims`` where it is None, else (N,).
        data_shape: of one measurement, M entries; PyLops' ``dimsd`` where it is None, else (M,).

    Raises:
        ValueError: if it is no such matrix, holds no numbers, or has not M x N entries for the shapes.

    Source: SciPy's ``scipy.sparse.linalg.LinearOperator``; PyLops 2.

    Examples:
        >>> import numpy as np
        >>> import torch
        >>> from operators import from_scipy
        >>> A = from_scipy(np.array([[1.0, 2.0, 0.0], [0.0, 1.0, 1.0]]))
        >>> A @ torch.tensor([[1.0, 1.0, 1.0]])
        tensor([[3., 2.]])
    """
    from scipy.sparse.linalg import aslinearoperator

    try:
        matrix = aslinearoperator(operator)
        rows, columns = matrix.shape
        if not np.issubdtype(matrix.dtype, np.number):
            raise TypeError(f"its entries are {matrix.dtype}")
    except (TypeError, ValueError) as error:
        wanted = "a SciPy or PyLops LinearOperator, a sparse matrix or a two-dimensional array of numbers"
        raise ValueError(f"expected {wanted}, got {type(operator).__name__}: {error}") from error
    image_shape = image_shape or tuple(map(int, getattr(operator, "dims", (columns,))))
    data_shape = data_shape or tuple(map(int, getattr(operator, "dimsd", (rows,))))
    if issparse(operator) or isinstance(operator, np.ndarray):
        matrix = operator if issparse(operator) else np.atleast_2d(np.asarray(operator))
    return _ScipyOperator(matrix, image_shape, data_shape)


def to_scipy(operator: ForwardOperator, dtype: type[np.floating[Any]] = np.float64) -> Any:
    """Make a SciPy ``LinearOperator`` of an operator, on flattened images and measurements.

    Complex measurements become pairs of real numbers, real and imaginary part side by side: between complex
    vectors the operator would not be linear, since its images are real.

    Args:
        operator: a linear one; it runs on its device.
        dtype: of all vectors, ``numpy.float32`` or ``numpy.float64``.

    Returns:
        A ``scipy.sparse.linalg.LinearOperator``; ``pylops.aslinearoperator`` makes one of PyLops' of it.

    Raises:
        ValueError: if it is no operator of this package, or not linear.

    Examples:
        >>> from operators import GaussianBlur, to_scipy
        >>> from scipy.sparse.linalg import svds
        >>> blur = GaussianBlur((16, 16), channels=1)
        >>> largest = svds(to_scipy(blur), k=1, return_singular_vectors=False)
        >>> abs(float(largest[0]) - blur.norm()) < 0.02
        True
    """
    from scipy.sparse.linalg import LinearOperator as Matrix

    if not isinstance(operator, ForwardOperator):
        raise ValueError(f"to_scipy takes an operator of this package, got {type(operator).__name__}")
    if not operator.linear:
        raise ValueError("only a linear operator can be a matrix")
    empty = torch.zeros(1, *operator.image_shape, dtype=torch.from_numpy(np.zeros(0, dtype)).dtype)
    is_complex = operator(empty.to(operator.device)).is_complex()

    def batch_of(columns: NDArray[Any], shape: tuple[int, ...]) -> Tensor:
        rows = np.require(columns.T, dtype, ["C", "W"])  # PyTorch warns of arrays that are not to be written to
        return torch.from_numpy(rows).reshape(-1, *shape).to(operator.device)

    def forward(columns: NDArray[Any]) -> NDArray[Any]:
        with torch.no_grad():  # NumPy knows no gradients
            y = operator(batch_of(columns, operator.image_shape))
        return (torch.view_as_real(y) if is_complex else y).flatten(1).cpu().numpy().T

    def adjoint(columns: NDArray[Any]) -> NDArray[Any]:
        pair = (2,) if is_complex else ()
        y = batch_of(columns, (*operator.data_shape, *pair))
        with torch.no_grad():
            x = operator.adjoint(torch.view_as_complex(y) if is_complex else y)
        return x.flatten(1).cpu().numpy().T

    size = math.prod(operator.data_shape) * (2 if is_complex else 1)
    return Matrix(
        shape=(size, math.prod(operator.image_shape)),
        dtype=np.dtype(dtype),
        matvec=lambda vector: forward(vector.reshape(-1, 1))[:, 0],
        rmatvec=lambda vector: adjoint(vector.reshape(-1, 1))[:, 0],
        matmat=forward,
        rmatmat=adjoint,
    )
