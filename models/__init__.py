"""Reconstruction models: loop-unrolled and deep-equilibrium networks."""

from collections.abc import Callable

from models.base import POLICIES, Policy, Reconstruction, ReconstructionModel, SolveStats, parameter_counts
from models.deq4ip import DEQ4IP
from models.fixed_point import Anderson
from models.lu_dncnn import LuDnCNN
from models.luser import LuserDW, LuserSW

MODELS: dict[str, Callable[..., ReconstructionModel]] = {
    "lu-dncnn": LuDnCNN,
    "deq4ip": DEQ4IP,
    "luser-sw": LuserSW,
    "luser-dw": LuserDW,
}
"""Every model of the study; called as ``MODELS[name](channels=C)``."""

__all__ = [
    "DEQ4IP",
    "MODELS",
    "POLICIES",
    "Anderson",
    "LuDnCNN",
    "LuserDW",
    "LuserSW",
    "Policy",
    "Reconstruction",
    "ReconstructionModel",
    "SolveStats",
    "parameter_counts",
]
