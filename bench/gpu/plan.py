"""The parts, most important first, with their time limits and output files."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.gpu import calibrating, checks, history, proofs, times, training
from bench.gpu.site import Site, Work

FLOPS_A_SECOND = 35e12
"""Speed of float32 convolutions without TF32 on an H100, half of its datasheet's: assumed, not measured."""
PIXEL_BYTES = {
    ("lu-dncnn", "paper"): 64e3,
    ("lu-dncnn", "recompute"): 8.6e3,
    ("deq4ip", "paper"): 8.7e3,
    ("deq4ip", "recompute"): 8.7e3,
    ("luser", "paper"): 17.7e3,
    ("luser", "recompute"): 2.3e3,
}
"""Peak of a training step per pixel of an image, simulated."""
PIXEL_FLOP = {
    ("lu-dncnn", "paper"): 27e6,
    ("lu-dncnn", "recompute"): 36e6,
    ("deq4ip", "paper"): 19e6,
    ("deq4ip", "recompute"): 19e6,
    ("luser", "paper"): 14e6,
    ("luser", "recompute"): 14e6,
}
"""Operations of a training step: two per weight and pass. Passes: eight stages forward, twice that backward, once more
if recomputed; or solves of seven steps (DEQ4IP) and three (LUSER's eight) both ways, and the graphs between."""
TRIES = 1.25
"""Cost of a proof in training runs: the batch that fits, and a quarter for the next one, which runs out of memory."""
START_S = 15.0
"""Seconds until the first probes compute: imports of torch, contexts. Later probes load while others compute."""


@dataclass(frozen=True)
class Part:
    """One part of the plan.

    Attributes:
        name: in files' names, after its number.
        about: its measurements, in words.
        run: runs them.
        estimate_s: seconds on an H100.
        limit_s: seconds after which it is interrupted while later parts wait.
        files: patterns of its output files, relative to the run's folder, most important first.
        waits: whether it needs traces and tuned kernels.
    """

    name: str
    about: str
    run: Callable[[Work], None]
    estimate_s: Callable[[Site], float]
    limit_s: float
    files: tuple[str, ...] = ()
    waits: bool = False


def proof_s(site: Site) -> float:
    """Estimate the proofs' seconds on a GPU, from bytes and operations per pixel.

    Args:
        site: what is proved.
    """
    if site.rehearse:
        return 30.0
    seconds = 0.0
    for model, policy in site.proved:
        key = model.partition("-")[0] if model.startswith("luser") else model, policy
        pixels = sum(site.caps) / PIXEL_BYTES[key]
        seconds += len(site.tasks) * TRIES * proofs.STEPS * pixels * PIXEL_FLOP[key] / FLOPS_A_SECOND
    return START_S + seconds


def _fixed(seconds: float, rehearsed_s: float) -> Callable[[Site], float]:
    return lambda site: rehearsed_s if site.rehearse else seconds


PARTS = (
    Part("check", "versions, a checked step of every model, the Radon transform", checks.check, _fixed(25, 15), 30),
    Part(
        "calibration",
        "what libraries take beside tensors, a context and three batches",
        calibrating.calibrate,
        _fixed(30, 10),
        40,
        ("calibration/*.json",),
        waits=True,
    ),
    Part(
        "proofs",
        "Table 3 proved under 8, 10 and 24 GB, processes side by side",
        proofs.prove,
        proof_s,
        220,
        ("{results}/memory/*.json",),
        waits=True,
    ),
    Part("history", "one recorded allocator history, replayed", history.record, _fixed(8, 1), 12, ("histories/*.gz",)),
    Part(
        "times",
        "seconds of training steps and reconstructions at the paper's sizes",
        times.measure,
        _fixed(50, 15),
        55,
        ("{results}/timing/*.json",),
        waits=True,
    ),
    Part(
        "training",
        "cells of Table 2 on real images, until the time is over",
        training.train,
        _fixed(0, 0),
        float("inf"),
        (
            "{results}/accuracy/*.json",
            "{results}/weights/*",
            "{results}/examples/*",
            "{results}/checkpoints/*.safetensors",
        ),
    ),
)
"""Estimates, except for the proofs': cells times the expected seconds per cell, with libraries' first calls."""


def stem(part: Part) -> str:
    """Return how the names of a part's files begin, such as ``3-proofs``."""
    return f"{PARTS.index(part) + 1}-{part.name}"


def files_of(part: Part, site: Site) -> Iterator[Path]:
    """Yield a part's output files besides its figures and log, most important first."""
    for pattern in part.files:
        yield from sorted(site.folder.glob(pattern.format(results=site.results.name)))
