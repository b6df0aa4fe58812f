"""Dead leaves: synthetic photographs with the occlusions, colours and scales of real ones."""

import colorsys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
LARGEST = 0.45  # radii in units of the shorter side
SMALLEST_PIXELS = 2.0
COVER = 2.5  # summed area of the leaves over that of the image
ANCHORS = 6
HUES = (0.02, 0.07, 0.10, 0.13, 0.22, 0.30, 0.36, 0.56, 0.60, 0.95)  # skin, soil, straw, plants, sky, fruit


def dead_leaves(rng: np.random.Generator, image_shape: tuple[int, int]) -> Field:
    """Drop discs, ellipses and rectangles on each other until little of the ground is seen.

    Radii follow the power law r^-3, which makes the image look alike at every scale, as photographs do;
    colours come from a few anchors of one image, leaves are shaded, some are textured. Drawn with 2 x 2 or
    3 x 3 samples a pixel.

    Args:
        rng: decides everything.
        image_shape: (H, W) in pixels.

    Returns:
        (3, H, W) float32 in [0, 1].

    Source: Lee, Mumford, Huang 2001, "Occlusion models for natural images"; Ruderman 1997 for the exponent.
    """
    samples = 3 if min(image_shape) < 128 else 2
    height, width = (side * samples for side in image_shape)
    leaves = _Leaves.scatter(rng, image_shape)
    cover = leaves.drop(height, width)
    grain = _grain(rng, height, width)
    shade = leaves.shade(cover, grain)
    fine = leaves.colours[cover] * (1 + shade[..., None])
    fine *= _illumination(rng, height, width)[..., None]
    coarse = fine.reshape(image_shape[0], samples, image_shape[1], samples, 3).mean(axis=(1, 3))
    return np.ascontiguousarray(np.clip(coarse, 0, 1).transpose(2, 0, 1), dtype=np.float32)


@dataclass(frozen=True)
class _Leaves:
    """N leaves in the order they fall; the first is the ground.

    Attributes:
        centres: (N, 2) y and x in units of the image's height and width.
        radii: (N, 2) half axes, in units of the shorter side.
        turns: (N,) angles in radians.
        boxes: (N,) whether it is a rectangle.
        colours: (N, 3) RGB.
        gradients: (N, 2) relative change of brightness across the image's height and width.
        grains: (N,) strength of the texture.
        offsets: (N, 2) where in the texture it was cut, in units of the image.
    """

    centres: NDArray[np.float64]
    radii: NDArray[np.float64]
    turns: NDArray[np.float64]
    boxes: NDArray[np.bool_]
    colours: Field
    gradients: Field
    grains: Field
    offsets: NDArray[np.float64]

    @classmethod
    def scatter(cls, rng: np.random.Generator, image_shape: tuple[int, int]) -> "_Leaves":
        shorter = min(image_shape)
        smallest = float(np.clip(SMALLEST_PIXELS / shorter, 0.022, 0.12))
        oblong = image_shape[0] * image_shape[1] / shorter**2
        mean_area = 2 * np.pi * smallest**2 * np.log(LARGEST / smallest)
        number = 1 + int(np.ceil(COVER * oblong / mean_area))
        radius = _power_law(rng, number, smallest)
        aspect = np.exp(rng.uniform(-0.8, 0.8, number) * (rng.random(number) < 0.6))
        strength = rng.beta(1.2, 2.0, number) * 0.4 / np.maximum(radius, 0.04)
        direction = rng.uniform(0, 2 * np.pi, number)
        return cls(
            centres=rng.uniform(-0.05, 1.05, (number, 2)),
            radii=radius[:, None] * np.stack([aspect, 1 / aspect], axis=1),
            turns=rng.uniform(0, np.pi, number),
            boxes=rng.random(number) < 0.35,
            colours=_colours(rng, number),
            gradients=(strength[:, None] * np.stack([np.sin(direction), np.cos(direction)], axis=1)).astype("f4"),
            grains=(rng.gamma(1.0, 0.05, number)).astype(np.float32),
            offsets=rng.random((number, 2)),
        )

    def drop(self, height: int, width: int) -> NDArray[np.intp]:
        """Return (height, width) of which leaf lies on top."""
        cover = np.zeros((height, width), dtype=np.intp)
        shorter = min(height, width)
        rows, columns = np.arange(height)[:, None] + 0.5, np.arange(width)[None, :] + 0.5
        centres = (self.centres * (height, width)).tolist()
        radii = (self.radii * shorter).tolist()
        for leaf in range(1, len(centres)):
            (y, x), (a, b) = centres[leaf], radii[leaf]
            reach = np.hypot(a, b) if self.boxes[leaf] else max(a, b)
            window = (_span(y, reach, height), _span(x, reach, width))
            dy, dx = rows[window[0]] - y, columns[:, window[1]] - x
            cos, sin = np.cos(self.turns[leaf]), np.sin(self.turns[leaf])
            v, u = (cos * dy - sin * dx) / a, (sin * dy + cos * dx) / b
            inside = (np.abs(v) < 1) & (np.abs(u) < 1) if self.boxes[leaf] else v * v + u * u < 1
            cover[window][inside] = leaf
        return cover

    def shade(self, cover: NDArray[np.intp], grain: Field) -> Field:
        """Return (height, width) relative brightness: a gradient over each leaf and its piece of texture."""
        height, width = cover.shape
        y = (np.arange(height, dtype=np.float32)[:, None] + 0.5) / height
        x = (np.arange(width, dtype=np.float32)[None, :] + 0.5) / width
        centres = self.centres.astype(np.float32)
        dy, dx = y - centres[:, 0][cover], x - centres[:, 1][cover]
        gradient = self.gradients[:, 0][cover] * dy + self.gradients[:, 1][cover] * dx
        shift = (self.offsets * cover.shape).astype(np.intp)
        rows = (np.arange(height)[:, None] + shift[:, 0][cover]) % height
        columns = (np.arange(width)[None, :] + shift[:, 1][cover]) % width
        return np.clip(gradient, -0.4, 0.4) + self.grains[cover] * grain[rows, columns]


def _power_law(rng: np.random.Generator, number: int, smallest: float) -> NDArray[np.float64]:
    """Draw radii between the smallest and the largest with a density of r^-3."""
    low, high = smallest**-2, LARGEST**-2
    return np.asarray((low - rng.random(number) * (low - high)) ** -0.5)


def _colours(rng: np.random.Generator, number: int) -> Field:
    """Draw colours around a few anchors, mostly muted: (number, 3)."""
    hue = rng.choice(HUES, ANCHORS) + rng.normal(0, 0.03, ANCHORS)
    saturation = rng.beta(1.8, 2.4, ANCHORS)
    value = rng.beta(2.2, 1.8, ANCHORS) * (1 - 0.35 * saturation)
    of = rng.integers(ANCHORS, size=number)
    hsv = np.stack(
        [
            (hue[of] + rng.normal(0, 0.02, number)) % 1,
            np.clip(saturation[of] + rng.normal(0, 0.08, number), 0, 0.9),
            np.clip(value[of] + rng.normal(0, 0.13, number), 0.04, 0.95),
        ],
        axis=1,
    )
    return np.array([colorsys.hsv_to_rgb(*colour) for colour in hsv.tolist()], dtype=np.float32)


def _grain(rng: np.random.Generator, height: int, width: int) -> Field:
    """Draw a periodic texture whose amplitude falls as 1/f: (height, width), unit variance."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((height, width), dtype=np.float32)) / frequency
    field = np.fft.irfft2(spectrum, (height, width))
    return np.asarray(field / (field.std() + 1e-12), dtype=np.float32)


def _illumination(rng: np.random.Generator, height: int, width: int) -> Field:
    """Draw a gentle gradient of light over the whole image."""
    slope_y, slope_x = rng.uniform(-0.15, 0.15, 2)
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None, :]
    return np.asarray(1 + slope_y * y + slope_x * x, dtype=np.float32)


def _span(centre: float, reach: float, size: int) -> slice:
    return slice(max(0, int(centre - reach)), max(0, min(size, int(centre + reach) + 2)))
