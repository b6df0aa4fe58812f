"""Chest-like CT phantoms: an axial slice with lungs, ribs, spine, heart and vessels."""

import numpy as np

from bench.data.synthetic.canvas import Canvas, Field, Point, texture, wobble
from bench.data.synthetic.chest_wall import FAT, MUSCLE, ROUNDNESS, SOFT, Body, Rng, draw_bones, draw_wall

AIR, LUNG, LIVER, BLOOD, CALCIUM = 0.004, 0.05, 0.266, 0.275, 0.5


def chest(rng: Rng, image_shape: tuple[int, int]) -> Field:
    """Draw one slice between the collar bones and the diaphragm.

    Args:
        rng: decides everything; the same scene is drawn at every image size.
        image_shape: (H, W) in pixels.

    Returns:
        (1, H, W) float32 in [0, 1]: attenuation over 81.35858 per metre; air 0, lung about 0.05, fat 0.22,
        soft tissue 0.25, bone 0.3 to 0.6. The spine points right, as in LoDoPaB-CT's transposed slices.

    Source: levels from LoDoPaB-CT's scaling, (HU (20 - 0.02) / 1000 + 20) / 81.35858.
    """
    height, width = image_shape
    canvas = Canvas.blank((width, height))
    body = Body.draw(rng)
    draw_wall(rng, canvas, body)
    lungs = _lungs(rng, canvas, body)
    _vessels(rng, canvas, body, lungs)
    _mediastinum(rng, canvas, body)
    draw_bones(rng, canvas, body)
    tissue = np.clip(canvas.pixels / SOFT, 0, 1)
    grain = 0.0035 * texture(rng, canvas, 40, 12, 60) + 0.003 * texture(rng, canvas, 60, 60, 250)
    canvas.pixels[...] += tissue * grain
    return np.ascontiguousarray(np.clip(canvas.pixels.T, 0, 1)[None])


def _lungs(rng: Rng, canvas: Canvas, body: Body) -> Field:
    """Fill the cavity with two lungs and return their coverage."""
    centre = (body.centre, 0.0)
    cavity = canvas.ellipse(centre, body.inner, power=ROUNDNESS, wobble=wobble(rng, 0.05))
    upper = max(0.0, 0.5 - body.level)
    # Between the lungs: narrow in front, wide at the heart's height, wide again at the spine.
    waist = 0.1 + 0.3 * upper + 0.09 * np.cos(2.5 * (canvas.y - body.centre - 0.05)) ** 2
    middle = np.abs(canvas.x - rng.uniform(-0.03, 0.03)) - waist - 0.04 * texture(rng, canvas, 12, 3, 9)
    spine = canvas.ellipse((body.spine + 0.1, 0.0), (0.28, 0.22))
    lungs = np.maximum(np.maximum(cavity + 0.1 * upper, -middle), -spine)
    canvas.paint(cavity, FAT + 0.02 + 0.008 * texture(rng, canvas, 30, 6, 20))
    # Blood sinks: lungs are denser behind. Emphysema or oedema move the whole level.
    base = LUNG * rng.lognormal(-0.1, 0.25)
    density = base * (1 + 0.35 * canvas.y + 0.18 * texture(rng, canvas, 60, 6, 60))
    canvas.paint(lungs, density, blur=0.01)
    return canvas.coverage(lungs)


def _vessels(rng: Rng, canvas: Canvas, body: Body, lungs: Field) -> None:
    """Grow branching vessels from both hila, then scatter vessels seen end on and nodules."""
    for side in (-1.0, 1.0):
        for turn in np.linspace(0.3, np.pi - 0.3, 6) + rng.normal(0, 0.2, 6):
            start = (body.centre + rng.uniform(-0.12, 0.18), side * rng.uniform(0.18, 0.3))
            _branch(rng, canvas, lungs, start, -side * turn, rng.uniform(0.014, 0.034), levels=3)
    for _ in range(60):
        value, radius = rng.uniform(0.1, 0.22), 0.004 + rng.gamma(1.5, 0.0025)
        _spot(canvas, _inside(rng, body), radius, value, within=lungs)
    for _ in range(rng.poisson(1.0)):
        value, radius = rng.uniform(0.18, 0.26), rng.uniform(0.012, 0.06)
        _spot(canvas, _inside(rng, body), radius, value, within=lungs, outline=wobble(rng, 0.15))


def _branch(rng: Rng, canvas: Canvas, lungs: Field, start: Point, angle: float, width: float, levels: int) -> None:
    """Draw one piece of a vessel and the two it forks into, each thinner and fainter."""
    length = rng.uniform(0.06, 0.16) * (0.7 + 0.2 * levels)
    end = (start[0] - length * float(np.cos(angle)), start[1] - length * float(np.sin(angle)))
    turns, narrowing = rng.normal(0, 0.5, 2), rng.uniform(0.45, 0.8, 2)
    if width > 0.3 * canvas.pixel:
        middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
        region = canvas.region(middle, length / 2 + width)
        window = canvas[region]
        window.paint(window.stroke(start, end, (width, 0.6 * width)), 0.13 + 0.03 * levels, within=lungs[region])
    for turn, narrow in zip(turns, narrowing, strict=True) if levels > 1 else ():
        _branch(rng, canvas, lungs, end, angle + turn, width * narrow, levels - 1)


def _mediastinum(rng: Rng, canvas: Canvas, body: Body) -> None:
    """Draw heart or great vessels, aorta, windpipe and gullet; in the lowest slices the liver's dome."""
    blood = BLOOD + body.contrast
    if body.level > 0.35:
        _heart(rng, canvas, body, blood)
    else:
        for _ in range(5):
            centre = (body.centre + rng.uniform(-0.3, 0.05), rng.uniform(-0.18, 0.18))
            radii = (rng.uniform(0.04, 0.09), rng.uniform(0.05, 0.13))
            canvas.paint(canvas.ellipse(centre, radii, rng.uniform(0, 3)), blood + rng.uniform(-0.01, 0.01))
    _tubes(rng, canvas, body, blood)
    if body.level > 0.8:
        side = rng.choice([-1.0, 1.0])
        reach = rng.uniform(0.5, 0.8) * body.inner[0]
        dome = canvas.ellipse(
            (body.centre - 0.05, side * 0.5 * body.inner[1]), (reach, 0.9 * reach), wobble=wobble(rng, 0.1)
        )
        cavity = canvas.ellipse((body.centre, 0.0), body.inner, power=ROUNDNESS)
        canvas.paint(np.maximum(dome, cavity + 0.03), LIVER + 0.003 * texture(rng, canvas, 30, 10, 60), blur=0.02)


def _heart(rng: Rng, canvas: Canvas, body: Body, blood: float) -> None:
    size = 0.18 + 0.17 * min(1.0, (body.level - 0.35) / 0.25)
    heart = (body.centre - rng.uniform(0.04, 0.14), rng.uniform(0.06, 0.16))
    outline = canvas.ellipse(heart, (size, 1.2 * size), rng.uniform(-0.7, -0.3), wobble=wobble(rng, 0.12))
    canvas.paint(outline, FAT + 0.01)
    canvas.paint(outline + 0.02 + 0.008 * texture(rng, canvas, 12, 8, 25), MUSCLE + 0.01)
    for _ in range(4):
        chamber = (heart[0] + rng.uniform(-0.6, 0.6) * size, heart[1] + rng.uniform(-0.65, 0.65) * size)
        radii = (size * rng.uniform(0.25, 0.42), size * rng.uniform(0.3, 0.5))
        shape = canvas.ellipse(chamber, radii, rng.uniform(-1, 1), wobble=wobble(rng, 0.15))
        value = blood + rng.uniform(-0.012, 0.012)
        canvas.paint(np.maximum(shape, outline + 0.05), value, blur=0.015)


def _tubes(rng: Rng, canvas: Canvas, body: Body, blood: float) -> None:
    """Draw the aorta beside the spine, the gullet, and the windpipe or its two main branches."""
    aorta = (body.spine - rng.uniform(0.06, 0.16), rng.uniform(0.17, 0.22))
    radius = rng.uniform(0.055, 0.085)
    _spot(canvas, aorta, radius + 0.012, FAT + 0.02)
    _spot(canvas, aorta, radius, blood)
    if rng.random() < 0.3:
        _spot(canvas, (aorta[0], aorta[1] + 0.9 * radius), 0.014, CALCIUM)
    _spot(canvas, (body.spine - 0.18, rng.uniform(-0.03, 0.05)), 0.026, MUSCLE)
    if body.level > 0.65:
        return
    shift = rng.uniform(-0.03, 0.03)
    airways = [shift] if body.level < 0.4 else [shift - 0.11, shift + 0.11]
    for x in airways:
        size = rng.uniform(0.035, 0.055)
        _spot(canvas, (body.spine - 0.28, x), size + 0.014, SOFT)
        _spot(canvas, (body.spine - 0.28, x), size, AIR)


def _spot(
    canvas: Canvas,
    centre: Point,
    radius: float,
    value: float,
    within: Field | None = None,
    outline: Field | None = None,
) -> None:
    """Draw a small disc, or a blob where it has an outline."""
    region = canvas.region(centre, 1.3 * radius)
    window = canvas[region]
    shape = window.ellipse(centre, (radius, radius), wobble=outline)
    window.paint(shape, value, within=None if within is None else within[region])


def _inside(rng: Rng, body: Body) -> Point:
    """Draw a point of the cavity, uniformly over the ellipse in it."""
    angle, radius = rng.uniform(0, 2 * np.pi), np.sqrt(rng.random())
    return body.centre + radius * body.inner[0] * np.sin(angle), radius * body.inner[1] * np.cos(angle)
