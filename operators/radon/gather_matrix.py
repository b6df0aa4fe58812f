"""The product of a constant sparse matrix with dense tables, in both directions as gathers."""

import warnings
from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor, nn

from operators.disk_cache import Arrays

MKL_COLUMNS = 8  # up to here MKL's sparse product is faster than embedding_bag, which needs wide rows
RAW_BITS = {torch.float32: (np.float32, np.int32), torch.float64: (np.float64, np.int64)}


def gather_tables(matrix: sparse.csr_matrix, dtype: torch.dtype) -> Arrays:
    """Lay a matrix out for gathering, in both directions.

    Args:
        matrix: (M, N).
        dtype: float32 or float64, of the weights.

    Returns:
        For ``forward`` and ``transposed``: where the entries of each row start, their columns, and their
        weights as raw bits, since ``module.half()`` or ``.double()`` would cast floating tables, and so
        round them.
    """
    weights, bits = RAW_BITS[dtype]
    tables: Arrays = {}
    for direction, rows in (("forward", matrix), ("transposed", matrix.T.tocsr())):
        tables[f"{direction}_starts"], tables[f"{direction}_columns"] = rows.indptr, rows.indices
        tables[f"{direction}_bits"] = rows.data.astype(weights).view(bits)
    return tables


class GatherMatrix(nn.Module):
    """A constant sparse matrix that multiplies dense tables from the left, as does its transpose.

    Both directions are stored by rows: each row of the product gathers and sums the table's rows, in a fixed
    order, without atomics. Hence the two are exact transposes, and on one device results repeat bit by bit.
    Narrow tables go through MKL's sparse product, where PyTorch has it, wide ones through ``embedding_bag``.

    Args:
        tables: from ``gather_tables``; dense tables must be of the dtype that these were made for.
    """

    def __init__(self, tables: Mapping[str, NDArray[np.generic]]) -> None:
        super().__init__()
        for name, values in tables.items():
            self.register_buffer(name, torch.from_numpy(values), persistent=False)

    def times(self, table: Tensor) -> Tensor:
        """Multiply by the matrix.

        Args:
            table: (N, K), contiguous (a strided table is 30 times slower).

        Returns:
            (M, K).
        """
        return self._multiply("forward", table)

    def transposed_times(self, table: Tensor) -> Tensor:
        """Multiply by the transposed matrix.

        Args:
            table: (M, K), contiguous.

        Returns:
            (N, K).
        """
        return self._multiply("transposed", table)

    def _multiply(self, direction: str, table: Tensor) -> Tensor:
        starts, columns = self.get_buffer(f"{direction}_starts"), self.get_buffer(f"{direction}_columns")
        weights = self.get_buffer(f"{direction}_bits").view(table.dtype)
        if table.shape[1] <= MKL_COLUMNS and table.device.type == "cpu" and torch.backends.mkl.is_available():
            size = (len(starts) - 1, table.shape[0])
            matrix = torch.sparse_csr_tensor(
                starts, columns, weights, size, device=table.device, check_invariants=False
            )  # without its device it would be on the default one
            return matrix @ table
        return F.embedding_bag(columns, table, starts, mode="sum", per_sample_weights=weights, include_last_offset=True)


def _hear_out_beta_warning() -> None:
    """Have PyTorch say once, unheard, that its CSR support is in beta: where warnings are errors, it would stop us."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.sparse_csr_tensor([0, 1], [0], [1.0], (1, 1))


_hear_out_beta_warning()
