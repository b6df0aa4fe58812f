"""The wall of the chest phantom: skin, fat, muscle and bones, and the table under the patient."""

from dataclasses import dataclass

import numpy as np

from bench.data.synthetic.canvas import Canvas, Field, Point, texture, wobble

# Attenuation over that of 3071 HU (81.35858 per metre), as LoDoPaB-CT stores it.
FAT, SOFT, MUSCLE, SPONGY, CORTICAL, TABLE = 0.222, 0.25, 0.258, 0.32, 0.47, 0.10
ROUNDNESS = 2.4  # power of the rounded box that body and cavity follow
Rng = np.random.Generator


@dataclass(frozen=True)
class Body:
    """Measures of one slice, upright (front up), in units of half the image.

    Attributes:
        level: 0 at the collar bones, 1 at the diaphragm.
        outer: vertical and horizontal half axis of the skin.
        inner: of the chest's cavity.
        centre: vertical position of the body's centre.
        spine: vertical position of the vertebra's centre.
        contrast: how much brighter blood is than tissue.
        fat: thickness of the fat under the skin.
    """

    level: float
    outer: Point
    inner: Point
    centre: float
    spine: float
    contrast: float
    fat: float

    @classmethod
    def draw(cls, rng: Rng) -> "Body":
        """Draw one patient and one level."""
        outer = (rng.uniform(0.68, 0.86), rng.uniform(0.88, 1.1))
        fat = min(0.02 + float(rng.gamma(2.0, 0.022)), 0.14)
        wall = fat + rng.uniform(0.09, 0.12)
        centre = rng.uniform(-0.06, 0.06)
        return cls(
            level=rng.random(),
            outer=outer,
            inner=(outer[0] - wall, outer[1] - wall),
            centre=centre,
            spine=centre + outer[0] - fat - rng.uniform(0.36, 0.4),
            contrast=float(rng.choice([0.0, rng.uniform(0.02, 0.09)])),
            fat=fat,
        )

    def at(self, angle: float, part: float) -> Point:
        """Return the point (y, x) at an angle from the front, ``part`` of the way from cavity to skin."""
        vertical, horizontal = (
            inner + part * (outer - inner) for inner, outer in zip(self.inner, self.outer, strict=True)
        )
        cos, sin = float(np.cos(angle)), float(np.sin(angle))
        scale = (abs(cos) ** ROUNDNESS + abs(sin) ** ROUNDNESS) ** (-1 / ROUNDNESS)
        return self.centre - vertical * cos * scale, horizontal * sin * scale

    def along(self, angle: float, part: float) -> float:
        """Return the direction of the wall there, in radians."""
        (y, x), (ahead_y, ahead_x) = self.at(angle, part), self.at(angle + 0.05, part)
        return float(np.arctan2(ahead_y - y, ahead_x - x))


def draw_wall(rng: Rng, canvas: Canvas, body: Body) -> None:
    """Draw the table, then the body as a whole: skin, fat and muscle down to its centre."""
    top = body.centre + body.outer[0] + rng.uniform(0.03, 0.07)
    bow = rng.uniform(2.2, 3.5)
    if rng.random() < 0.7:
        canvas.paint(np.abs(canvas.ellipse((top - bow, 0.0), (bow, bow))) - 0.008, TABLE)
    skin = canvas.ellipse((body.centre, 0.0), body.outer, power=ROUNDNESS, wobble=wobble(rng, 0.02))
    canvas.paint(skin, SOFT)
    canvas.paint(skin + 0.018, FAT)
    lobules = 0.006 * texture(rng, canvas, 40, 8, 40)
    canvas.paint(skin + 0.018 + body.fat + lobules, MUSCLE + 0.5 * lobules, blur=0.01)
    # Streaks of fat part the muscles of the wall.
    canvas.paint(np.abs(skin + 0.055 + body.fat + 2 * lobules) - 0.003, FAT + 0.01)


def draw_bones(rng: Rng, canvas: Canvas, body: Body) -> None:
    """Draw what the slice cuts off ribs, breastbone, shoulder blades and spine."""
    marrow = 0.02 * texture(rng, canvas, 24, 30, 120)
    turns = np.linspace(0.42, np.pi - 0.4, int(rng.integers(5, 8)))
    for side in (-1.0, 1.0):
        for turn in side * (turns + rng.normal(0, 0.07, turns.size)):
            radii = (rng.uniform(0.022, 0.032), rng.uniform(0.05, 0.15))
            _bone(rng, canvas, marrow, body.at(turn, 0.2), radii, body.along(turn, 0.2))
    if body.level < 0.8:
        _bone(rng, canvas, marrow, body.at(0.0, 0.2), (0.035, rng.uniform(0.08, 0.16)), 0.0)
    if body.level < 0.5:
        for side in (-1.0, 1.0):
            turn, tilt = side * rng.uniform(2.1, 2.4), side * rng.uniform(-0.3, 0.1)
            radii = (0.018, rng.uniform(0.1, 0.18))
            _bone(rng, canvas, marrow, body.at(turn, 0.5), radii, body.along(turn, 0.5) + tilt)
    _spine(rng, canvas, marrow, body)


def _spine(rng: Rng, canvas: Canvas, marrow: Field, body: Body) -> None:
    radius = rng.uniform(0.12, 0.145)
    behind = body.spine + radius
    for side in (-1.0, 1.0):
        _bone(rng, canvas, marrow, (behind + 0.06, side * 0.14), (0.03, 0.10), side * 0.45)
        _bone(rng, canvas, marrow, (behind + 0.02, side * 0.10), (0.06, 0.03), side * 0.2)
    _bone(rng, canvas, marrow, (behind + 0.15, 0.0), (0.07, 0.026), rng.uniform(-0.12, 0.12))
    canvas.paint(canvas.ellipse((behind + 0.05, 0.0), (0.07, 0.085)), CORTICAL - 0.07)
    canvas.paint(canvas.ellipse((behind + 0.045, 0.0), (0.05, 0.065)), FAT + 0.02)
    canvas.paint(canvas.ellipse((behind + 0.045, 0.0), (0.028, 0.034)), MUSCLE)
    _bone(rng, canvas, marrow, (body.spine, 0.0), (radius * 0.88, 1.1 * radius), 0.0)


def _bone(rng: Rng, canvas: Canvas, marrow: Field, centre: Point, radii: Point, angle: float) -> None:
    """Draw a dense rim around spongy bone."""
    rim, dense, spongy = rng.uniform(0.009, 0.014), CORTICAL * rng.uniform(0.85, 1.2), rng.uniform(0.95, 1.08)
    outline = wobble(rng, 0.06)
    region = canvas.region(centre, 1.2 * max(radii))
    window = canvas[region]
    shape = window.ellipse(centre, radii, angle, power=2.6, wobble=outline)
    window.paint(shape, dense, blur=0.004)
    window.paint(shape + rim, SPONGY * spongy + marrow[region], blur=0.004)
