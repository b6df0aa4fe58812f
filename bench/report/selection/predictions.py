"""Predictions of published GPU memory measurements: the simulator's, simpler ones and other libraries'."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.records import MIB, ProofValues

OURS = "Simulated allocator"


@dataclass(frozen=True)
class Prediction:
    """One prediction of the runs' memory.

    Attributes:
        title: in print.
        constant_bytes: memory of a process beside the prediction, fitted to the first runs.
        predicted_bytes: prediction plus constant, for every run not used for fitting.
        error_bytes: absolute errors of the same runs.
    """

    title: str
    constant_bytes: float
    predicted_bytes: NDArray[np.float64]
    error_bytes: NDArray[np.float64]

    @property
    def median_bytes(self) -> float:
        """The median error."""
        return float(np.median(self.error_bytes))

    @property
    def high_bytes(self) -> float:
        """The 99th percentile of the errors."""
        return float(np.quantile(self.error_bytes, 0.99))

    @property
    def text(self) -> str:
        """Both in words."""
        return f"median error {_mib(self.median_bytes)} MiB, 99 % within {_mib(self.high_bytes)} MiB"


def predictions(values: ProofValues) -> list[Prediction]:
    """Return the predictions of the simulator, of fake tensors without an allocator, of a constant alone and of peers.

    Each has its own constant: the median of measured minus predicted over the fitted runs. Without fitted runs, all
    share the constant known from other runs.

    Args:
        values: with runs.
    """
    measured = np.array(values.measured_bytes, dtype=np.float64)
    fitted = values.fitted_runs if len(measured) > values.fitted_runs else 0
    ways: list[tuple[str, Sequence[int]]] = [
        (OURS, values.reserved_bytes),
        ("Fake tensors alone", values.requested_bytes),
        ("A constant alone", (0,) * len(measured)),
        *((f"{peer.name} {peer.version}", peer.predicted_bytes) for peer in values.peers),
    ]
    known = values.constant_bytes or 0
    found = []
    for title, parts in ways:
        part = np.array(parts, dtype=np.float64)
        constant = float(np.median((measured - part)[: values.fitted_runs]) if values.fitted_runs else known)
        predicted = (part + constant)[fitted:]
        found.append(Prediction(title, constant, predicted, np.abs(predicted - measured[fitted:])))
    return found


def judged_bytes(values: ProofValues) -> NDArray[np.float64]:
    """Return the measured memory of the runs not used for fitting."""
    fitted = values.fitted_runs if len(values.measured_bytes) > values.fitted_runs else 0
    return np.array(values.measured_bytes[fitted:], dtype=np.float64)


def _mib(count: float) -> str:
    size = count / MIB
    return f"{size:,.1f}" if size < 10 else f"{size:,.0f}"
