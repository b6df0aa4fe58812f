"""The records of ``tests/benchmarks/speed.py``: names of the work, ratios with their spread, goals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.records import SpeedValues
from bench.report.drawing.layout import shape_text
from bench.report.selection.records import SpeedEntry, dominant
from bench.report.tables.operator_times import Spread

TITLES = {
    "fourier-forward-1": "Fourier, forward",
    "fourier-forward-8": "Fourier, forward",
    "fourier-adjoint-1": "Fourier, adjoint",
    "fourier-adjoint-8": "Fourier, adjoint",
    "blur-forward-8": "Gaussian blur",
    "radon-forward-1": "Radon, forward",
    "radon-adjoint-1": "Radon, adjoint",
    "radon-forward-8": "Radon, forward",
    "luser-step": "Training step of LUSER-DW",
    "anderson-64": "Anderson's own time",
    "anderson-128": "Anderson's own time",
}
"""Work -> its name, in the order of the figure."""

GOALS = {
    "fourier-forward-1": 1.4,
    "fourier-forward-8": 1.3,
    "radon-forward-1": 1.5,
    "radon-adjoint-1": 1.5,
    "blur-forward-8": 10.0,
    "luser-step": 1.25,
    "anderson-64": 0.5,
    "anderson-128": 0.5,
}
"""Work -> the ratio that was aimed at: of a blur half of what it was, of a training step 80 % in convolutions."""


@dataclass(frozen=True)
class Speed:
    """One record's times.

    Attributes:
        entry: a record with values.
    """

    entry: SpeedEntry

    @property
    def _values(self) -> SpeedValues:
        assert self.entry.values is not None
        return self.entry.values

    @property
    def title(self) -> str:
        """The work, its sizes and what it is compared with."""
        spec = self.entry.spec
        batch = f", batch {spec.batch}" if spec.batch > 1 else ""
        return f"{TITLES.get(spec.work, spec.work)}, {shape_text(spec.image_shape)}{batch}: beside {spec.beside}"

    @property
    def ms(self) -> Spread:
        """Milliseconds of the work."""
        return _quartiles(1e3 * np.asarray(self._values.work_s))

    @property
    def ratio(self) -> Spread:
        """The work's time over the other's, repeat by repeat: drift of the machine hits both."""
        return _quartiles(np.asarray(self._values.work_s) / np.asarray(self._values.beside_s))

    @property
    def goal(self) -> float | None:
        """The ratio that was aimed at; None where none was."""
        return GOALS.get(self.entry.spec.work)


def shown_speed(entries: Sequence[SpeedEntry]) -> list[Speed]:
    """Return the answered records of the device that has most of them, in the figure's order."""
    answered = [entry for entry in entries if entry.values is not None]
    chosen = dominant(answered, lambda entry: entry.provenance.device, lambda entry: entry.spec.work)
    newest = {entry.spec.work: entry for entry in sorted(chosen, key=lambda entry: entry.created)}
    places = {work: place for place, work in enumerate(TITLES)}
    return [Speed(newest[work]) for work in sorted(newest, key=lambda work: places.get(work, len(places)))]


def _quartiles(samples: np.ndarray) -> Spread:
    low, mid, high = np.quantile(samples, [0.25, 0.5, 0.75])
    return Spread(float(low), float(mid), float(high))
