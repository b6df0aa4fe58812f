"""MRI-like complex phantoms: a knee from the front or a heart across, under a smooth coil and phase."""

import numpy as np

from bench.data.phase import reference_phase
from bench.data.synthetic.canvas import Canvas, Field, Point, texture, wobble

Rng = np.random.Generator
# Brightness of tissues in a proton-density knee and in a cine heart, relative to bright fat.
MARROW, CARTILAGE, FLUID, FAT, MUSCLE, DARK = 0.62, 0.72, 0.95, 0.85, 0.33, 0.06
BLOOD, WALL, LIVER, LUNG = 0.72, 0.24, 0.36, 0.04


def scan(rng: Rng, image_shape: tuple[int, int]) -> Field:
    """Draw one slice, a knee or a heart with equal chances.

    Args:
        rng: decides everything; the same scene is drawn at every image size.
        image_shape: (H, W) in pixels.

    Returns:
        (2, H, W) float32, real and imaginary part. The largest magnitude is 0.7 to 1: a slice's share of its
        volume's maximum. The phase is smooth, covers more than a turn in some images, and is zero on average.
    """
    canvas = Canvas.blank(image_shape)
    draw = _knee if rng.random() < 0.5 else _heart
    draw(rng, canvas)
    grain = 1 + 0.05 * texture(rng, canvas, 50, 10, 80) + 0.04 * texture(rng, canvas, 60, 60, 200)
    magnitude = np.clip(canvas.pixels * grain, 0, None) * _coil(rng, canvas)
    magnitude *= rng.uniform(0.7, 1.0) / max(float(magnitude.max()), 1e-6)
    return reference_phase(magnitude * np.exp(1j * _phase(rng, canvas)))


def _coil(rng: Rng, canvas: Canvas) -> Field:
    """Brighter towards one side, as near a surface coil."""
    angle, slope = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.4)
    along = canvas.y * np.sin(angle) + canvas.x * np.cos(angle)
    return np.asarray(np.exp(slope * along - 0.15 * along * along), dtype=np.float32)


def _phase(rng: Rng, canvas: Canvas) -> Field:
    """Radians: a quadratic, as of field drift and shim, with slow waves on it."""
    y, x = canvas.y, canvas.x
    c = rng.uniform(-1, 1, 6) * (np.pi, 1.5, 1.5, 0.8, 0.8, 0.8)
    smooth = c[0] + c[1] * x + c[2] * y + c[3] * x * x + c[4] * y * y + c[5] * x * y
    return np.asarray(smooth + 0.15 * texture(rng, canvas, 8, 1.5, 6), dtype=np.float32)


def _knee(rng: Rng, canvas: Canvas) -> None:
    """Draw thigh and shank bone, the joint between them, muscles and the fat around, from the front."""
    joint, lean = rng.uniform(-0.15, 0.15), rng.uniform(-0.08, 0.08)
    half = rng.uniform(0.7, 0.92)
    axis = lean * canvas.y + 0.02 * texture(rng, canvas, 6, 1, 3)
    waist = 1 - 0.10 * np.exp(-(((canvas.y - joint - 0.45) / 0.3) ** 2)) + 0.04 * canvas.y
    leg = np.abs(canvas.x - axis) - half * waist
    canvas.paint(leg, FAT * 0.7)
    canvas.paint(leg + 0.02, FAT * (1 + 0.1 * texture(rng, canvas, 40, 8, 40)))
    strands = 0.06 * texture(rng, canvas, 30, 10, 50)
    away = np.exp(-(((canvas.y - joint) / 0.4) ** 2))
    muscle = leg + rng.uniform(0.07, 0.14) + 0.2 * away + strands * 0.2
    canvas.paint(muscle, MUSCLE * (1 + strands), blur=0.02)
    lines = np.abs(muscle + rng.uniform(0.06, 0.12) + 0.25 * strands) - 0.006
    canvas.paint(lines, FAT * 0.7)
    spread = rng.uniform(0.26, 0.31)
    thigh, shank = _bones(rng, canvas, joint, spread, lean)
    # Joint fluid and cartilage follow the bones; the bones' rims are dark.
    joint_box = canvas.ellipse((joint, lean * joint), (0.13, 2.15 * spread), power=3)
    canvas.paint(joint_box, MUSCLE * 0.9, blur=0.03)
    canvas.paint(np.minimum(thigh, shank) - 0.03, CARTILAGE, within=canvas.coverage(joint_box))
    marrow = MARROW * (1 + 0.05 * texture(rng, canvas, 60, 15, 90) + 0.06 * texture(rng, canvas, 12, 2, 8))
    for bone in (thigh, shank):
        canvas.paint(bone, DARK, blur=0.005)
        canvas.paint(bone + rng.uniform(0.015, 0.025), marrow, blur=0.01)
    _joint(rng, canvas, (joint, lean * joint), spread)


def _bones(rng: Rng, canvas: Canvas, joint: float, spread: float, lean: float) -> tuple[Field, Field]:
    """Return the signed distances to the thigh bone above and the shank bone below."""
    thigh = canvas.stroke((-1.3, -1.3 * lean), (joint - 0.38, 0.0), (2 * rng.uniform(0.15, 0.2), 1.9 * spread))
    for side in (-1.0, 1.0):
        height, width = rng.uniform(0.24, 0.29), spread * rng.uniform(0.92, 1.02)
        shape = canvas.ellipse((joint - 0.05 - height, side * spread), (height, width), wobble=wobble(rng, 0.06))
        thigh = np.minimum(thigh, shape)
    notch = canvas.ellipse((joint - 0.04, 0.0), (rng.uniform(0.16, 0.22), 0.12))
    thigh = np.maximum(thigh, -notch)
    plateau = canvas.ellipse((joint + 0.22, 0.0), (0.16, 1.98 * spread), power=3, wobble=wobble(rng, 0.03))
    shaft = canvas.stroke((joint + 0.3, 0.0), (1.4, 1.3 * lean), (2.5 * spread, 2 * rng.uniform(0.12, 0.16)))
    shank = np.minimum(plateau, shaft)
    if rng.random() < 0.7:  # the thin outer bone
        side = rng.choice([-1.0, 1.0]) * 2.0 * spread
        head = joint + rng.uniform(0.42, 0.55)
        shank = np.minimum(shank, canvas.stroke((head, 0.95 * side), (1.4, 0.8 * side), (0.18, 0.1)))
    return thigh, shank


def _joint(rng: Rng, canvas: Canvas, centre: Point, spread: float) -> None:
    """Draw menisci, cruciate ligaments and fluid in the notch, side ligaments."""
    y, x = centre
    for side in (-1.0, 1.0):
        tip = (y + 0.0, x + side * 1.25 * spread)
        rim = (y + rng.uniform(-0.02, 0.02), x + side * 2.0 * spread)
        canvas.paint(canvas.stroke(tip, rim, (0.01, 0.11)), DARK + 0.05)
        outer = x + side * 2.12 * spread
        canvas.paint(canvas.stroke((y - 0.45, outer), (y + 0.4, outer * 0.98), (0.03, 0.03)), DARK + 0.03)
    ligament = rng.uniform(0.06, 0.1)
    canvas.paint(canvas.stroke((y - 0.2, x - 0.08), (y + 0.06, x + 0.06), (ligament, ligament)), 0.2, blur=0.01)
    canvas.paint(canvas.stroke((y - 0.18, x + 0.09), (y + 0.05, x), (0.05, 0.04)), 0.14, blur=0.01)
    for _ in range(rng.poisson(2.0)):
        pool = (y + rng.uniform(-0.2, 0.05), x + rng.uniform(-0.12, 0.12))
        region = canvas.region(pool, 0.08)
        window = canvas[region]
        window.paint(window.ellipse(pool, (0.03, 0.02), rng.uniform(0, 3), wobble=wobble(rng, 0.2)), FLUID)


def _heart(rng: Rng, canvas: Canvas) -> None:
    """Draw a short-axis view: two chambers in the chest, liver below, the wall of fat around."""
    body = canvas.ellipse(
        (rng.uniform(0.05, 0.2), rng.uniform(-0.1, 0.1)),
        (rng.uniform(0.78, 0.9), rng.uniform(0.85, 1.05)),
        rng.uniform(-0.5, 0.1),
        power=2.3,
        wobble=wobble(rng, 0.08),
    )
    thick = rng.uniform(0.05, 0.14)
    canvas.paint(body, FAT * (1 + 0.08 * texture(rng, canvas, 30, 8, 40)))
    strands = texture(rng, canvas, 40, 8, 40)
    canvas.paint(body + thick + 0.012 * strands, MUSCLE * 0.8 * (1 + 0.15 * strands), blur=0.015)
    inside = body + thick + rng.uniform(0.08, 0.12)
    canvas.paint(inside, LUNG, blur=0.02)
    centre = (rng.uniform(-0.12, 0.08), rng.uniform(-0.1, 0.12))
    organs = canvas.coverage(inside + 0.02)
    _abdomen(rng, canvas, centre, organs)
    for _ in range(30):  # vessels of the lung
        spot = (rng.uniform(-0.8, 0.5), rng.uniform(-0.8, 0.8))
        value, size = rng.uniform(0.08, 0.25), rng.uniform(0.008, 0.022)
        region = canvas.region(spot, size)
        window = canvas[region]
        window.paint(window.ellipse(spot, (size, size)), value, within=organs[region])
    _chambers(rng, canvas, centre)


def _abdomen(rng: Rng, canvas: Canvas, centre: Point, within: Field) -> None:
    """Draw liver, stomach and bowel below the heart, with the bright fat between them."""
    top = centre[0] + rng.uniform(0.42, 0.5)
    floor = top - canvas.y + rng.uniform(-0.25, 0.25) * canvas.x + 0.05 * texture(rng, canvas, 8, 2, 6)
    canvas.paint(floor, FAT * 0.55 * (1 + 0.2 * texture(rng, canvas, 30, 8, 40)), blur=0.02, within=within)
    liver = canvas.ellipse((top + 0.25, centre[1] - rng.uniform(0.35, 0.55)), (0.28, 0.5), 0.2, wobble=wobble(rng, 0.1))
    canvas.paint(liver, LIVER * (1 + 0.08 * texture(rng, canvas, 40, 15, 80)), within=within)
    for _ in range(7):
        spot = (top + rng.uniform(0.12, 0.5), centre[1] + rng.uniform(-0.3, 0.75))
        radii, value = rng.uniform(0.05, 0.17, 2), rng.uniform(0.08, 0.5)
        region = canvas.region(spot, 1.3 * max(radii))
        window = canvas[region]
        shape = window.ellipse(spot, (radii[0], radii[1]), rng.uniform(0, 3), wobble=wobble(rng, 0.15))
        window.paint(shape, value, blur=0.01, within=within[region])
        window.paint(np.abs(shape) - 0.006, value * 0.5, within=within[region])


def _chambers(rng: Rng, canvas: Canvas, centre: Point) -> None:
    y, x = centre
    cavity, wall = rng.uniform(0.15, 0.22), rng.uniform(0.06, 0.1)
    turn, beat = rng.uniform(-0.3, 0.6), wobble(rng, 0.06)
    whole = cavity + wall
    sac = canvas.ellipse((y, x - 0.35 * whole), (1.25 * whole, 1.75 * whole), turn, wobble=wobble(rng, 0.08))
    canvas.paint(sac, FAT * rng.uniform(0.3, 0.8) * (1 + 0.2 * texture(rng, canvas, 20, 8, 30)), blur=0.01)
    canvas.paint(sac + 0.025, WALL, blur=0.01)
    right = canvas.ellipse((y - 0.02, x - 0.75 * whole), (1.0 * whole, 1.2 * whole), turn, wobble=wobble(rng, 0.08))
    left = canvas.ellipse((y, x), (whole, whole), turn, wobble=beat)
    canvas.paint(np.maximum(right, sac + 0.045), BLOOD * 0.85 * (1 + 0.1 * texture(rng, canvas, 20, 10, 50)))
    canvas.paint(left, WALL * (1 + 0.08 * texture(rng, canvas, 20, 10, 50)))
    blood = canvas.ellipse((y, x), (cavity, cavity), turn, wobble=wobble(rng, 0.06))
    canvas.paint(blood, BLOOD * (1 + 0.08 * texture(rng, canvas, 20, 8, 40)), blur=0.008)
    for angle in rng.uniform(0, 2 * np.pi, int(rng.integers(2, 6))):  # muscles that stand into the chamber
        spot = (y + 0.78 * cavity * float(np.sin(angle)), x + 0.78 * cavity * float(np.cos(angle)))
        size = rng.uniform(0.12, 0.26) * cavity
        canvas.paint(canvas.ellipse(spot, (size, 1.2 * size), angle), WALL * 1.1, blur=0.008)
    vessel = (y + rng.uniform(0.32, 0.4), x + rng.uniform(0.3, 0.4))
    canvas.paint(canvas.ellipse(vessel, (0.075, 0.075)), BLOOD)
