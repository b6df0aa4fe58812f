"""Draw antialiased anatomy at any image size: shapes are signed distances, edges cover pixels partially."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Array = NDArray[np.floating[Any]]
Point = tuple[float, float]
Region = tuple[slice, slice]


@dataclass(frozen=True)
class Canvas:
    """A grey image on the square from -1 to 1, or a window that shares its pixels.

    Attributes:
        y: (H, 1) vertical coordinate of the pixel centres, down.
        x: (1, W) horizontal coordinate, to the right.
        pixels: (H, W) float32, drawn on in place.
        pixel: size of one pixel in these coordinates.
    """

    y: Field
    x: Field
    pixels: Field
    pixel: float

    @classmethod
    def blank(cls, image_shape: tuple[int, int]) -> "Canvas":
        """Start a black image of (H, W) pixels; an oblong one stretches what is drawn."""
        height, width = image_shape
        return cls(
            y=_centres(height)[:, None],
            x=_centres(width)[None, :],
            pixels=np.zeros(image_shape, dtype=np.float32),
            pixel=2 / min(image_shape),
        )

    def region(self, centre: Point, reach: float) -> Region:
        """Return the slices of what is within ``reach`` of a centre (y, x): small shapes then cost little."""
        margin = reach + self.pixel
        return _near(self.y[:, 0], centre[0], margin), _near(self.x[0], centre[1], margin)

    def __getitem__(self, region: Region) -> "Canvas":
        rows, columns = region
        return Canvas(self.y[rows], self.x[:, columns], self.pixels[region], self.pixel)

    def coverage(self, distance: Array, blur: float = 0.0) -> Field:
        """Turn signed distances (negative inside) into the part of each pixel that is covered, in [0, 1]."""
        return np.clip(0.5 - distance / (self.pixel + blur), 0, 1).astype(np.float32, copy=False)

    def paint(self, distance: Array, value: float | Array, blur: float = 0.0, within: Field | None = None) -> None:
        """Draw a shape over what is there.

        Args:
            distance: signed distance to its edge, of the canvas's shape.
            value: a grey level, or one for each pixel.
            blur: width over which the edge fades, beyond one pixel.
            within: coverage of a region that clips the shape.
        """
        alpha = self.coverage(distance, blur)
        if within is not None:
            alpha = alpha * within
        self.pixels[...] += alpha * (value - self.pixels)

    def ellipse(
        self, centre: Point, radii: Point, angle: float = 0.0, power: float = 2.0, wobble: Field | None = None
    ) -> Field:
        """Return the signed distance to an ellipse, to first order at its edge.

        Args:
            centre: (y, x).
            radii: along its own vertical and horizontal axis.
            angle: by how much it is turned, in radians.
            power: 2 for an ellipse, more for a rounded box.
            wobble: (N, 2) relative amplitudes and phases of the outline's harmonics, from the second on.
        """
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        dy, dx = self.y - np.float32(centre[0]), self.x - np.float32(centre[1])
        v, u = (cos * dy - sin * dx) / np.float32(radii[0]), (sin * dy + cos * dx) / np.float32(radii[1])
        round_radius = np.sqrt(v * v + u * u) + np.float32(1e-6)
        slope = np.sqrt((v / np.float32(radii[0])) ** 2 + (u / np.float32(radii[1])) ** 2) + np.float32(1e-6)
        radius = round_radius if power == 2 else (np.abs(v) ** power + np.abs(u) ** power) ** np.float32(1 / power)
        if wobble is not None:
            theta = np.arctan2(v, u)
            for order, (amplitude, phase) in enumerate(wobble, start=2):
                radius = radius - amplitude * np.cos(np.float32(order) * theta + phase)
        return np.asarray((radius - 1) * round_radius / slope, dtype=np.float32)

    def stroke(self, start: Point, end: Point, widths: Point) -> Field:
        """Return the signed distance to a rounded stroke between two points (y, x), with a width at each."""
        dy, dx = end[0] - start[0], end[1] - start[1]
        length = max(dy * dy + dx * dx, 1e-12)
        along = ((self.y - start[0]) * dy + (self.x - start[1]) * dx) / length
        along = np.clip(along, 0, 1).astype(np.float32)
        across = np.hypot(self.y - start[0] - along * dy, self.x - start[1] - along * dx)
        return np.asarray(across - (widths[0] + along * (widths[1] - widths[0])) / 2, dtype=np.float32)


def wobble(rng: np.random.Generator, strength: float, harmonics: int = 4) -> Field:
    """Draw the harmonics of an irregular outline: (harmonics, 2) relative amplitudes and phases."""
    amplitudes = strength * rng.uniform(-1, 1, harmonics) / np.arange(1, harmonics + 1)
    return np.stack([amplitudes, rng.uniform(0, 2 * np.pi, harmonics)], axis=1).astype(np.float32)


def texture(rng: np.random.Generator, canvas: Canvas, waves: int, low: float, high: float) -> Field:
    """Sum random plane waves into a smooth random field of about unit variance, the same at every image size.

    Args:
        rng: where the waves come from.
        canvas: on which pixels.
        waves: how many of them.
        low: lowest angular frequency, in radians per unit of the coordinates.
        high: highest; they are spread evenly over octaves.
    """
    frequency = np.exp(rng.uniform(np.log(low), np.log(high), waves))
    direction, phase = rng.uniform(0, 2 * np.pi, (2, waves))
    # cos(a + b) from the separable parts: (H, waves) and (waves, W) instead of waves images.
    vertical = np.exp(1j * (canvas.y * (frequency * np.sin(direction)) + phase))
    horizontal = np.exp(1j * (canvas.x.T * (frequency * np.cos(direction))))
    field = np.einsum("hk,wk->hw", vertical.astype(np.complex64), horizontal.astype(np.complex64))
    return np.asarray(field.real * np.sqrt(2 / waves), dtype=np.float32)


def _centres(size: int) -> Field:
    return ((np.arange(size, dtype=np.float32) + np.float32(0.5)) * 2 / size - 1).astype(np.float32)


def _near(coordinate: Field, centre: float, reach: float) -> slice:
    first, last = np.searchsorted(coordinate, (centre - reach, centre + reach))
    return slice(int(first), int(last))
