"""Reconstruction models: loop-unrolled and deep-equilibrium networks, and their solvers."""

from collections.abc import Callable

from models.base import (
    POLICIES,
    Policy,
    Reconstruction,
    ReconstructionModel,
    gradient_step,
    parameter_counts,
    starting_image,
)
from models.deq4ip import DEQ4IP
from models.equilibrium.anderson import Anderson
from models.equilibrium.broyden import Broyden
from models.equilibrium.fixed_point import FixedPointSolver, History, SampleWiseSolver, SolveStats
from models.equilibrium.gradients import GRADIENTS, GradientRule, Implicit, Linearisation, Phantom, Unrolled
from models.equilibrium.implicit import FixedPointResult, Solve, implicit_fixed_point
from models.equilibrium.picard import Picard
from models.equilibrium.problem import Context, FixedPointProblem
from models.equilibrium.solve import FixedPoint, FixedPointError, Outcome, fixed_point
from models.equilibrium_model import EquilibriumModel
from models.lu_dncnn import LuDnCNN
from models.luser import Luser, LuserDW, LuserSW

MODELS: dict[str, Callable[..., ReconstructionModel]] = {
    "lu-dncnn": LuDnCNN,
    "deq4ip": DEQ4IP,
    "luser-sw": LuserSW,
    "luser-dw": LuserDW,
}
"""Every model of the study; called as ``MODELS[name](channels=C)``."""

SOLVERS: dict[str, Callable[..., FixedPointSolver]] = {"anderson": Anderson, "broyden": Broyden, "picard": Picard}
"""Every fixed-point method; called as ``SOLVERS[name](max_steps=N, tolerance=T)``."""

__all__ = [
    "DEQ4IP",
    "GRADIENTS",
    "MODELS",
    "POLICIES",
    "SOLVERS",
    "Anderson",
    "Broyden",
    "Context",
    "EquilibriumModel",
    "FixedPoint",
    "FixedPointError",
    "FixedPointProblem",
    "FixedPointResult",
    "FixedPointSolver",
    "GradientRule",
    "History",
    "Implicit",
    "Linearisation",
    "LuDnCNN",
    "Luser",
    "LuserDW",
    "LuserSW",
    "Outcome",
    "Phantom",
    "Picard",
    "Policy",
    "Reconstruction",
    "ReconstructionModel",
    "SampleWiseSolver",
    "Solve",
    "SolveStats",
    "Unrolled",
    "fixed_point",
    "gradient_step",
    "implicit_fixed_point",
    "parameter_counts",
    "starting_image",
]
