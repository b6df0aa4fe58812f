"""The fixed-point solvers of other libraries, called as ours are. They are an extra, ``pip install .[peers]``."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from models import FixedPointSolver, SolveStats
from models.equilibrium.fixed_point import FixedPointSolution, Map
from operators.bridges.deepinv import import_deepinv

PEERS = ("torchdeq", "deepinv")
DEEPINV_EPSILON = 1e-4
"""deepinv's and TorchDEQ's default for the term that both add to the Gram matrix."""


@dataclass(frozen=True, kw_only=True)
class PeerSolver(FixedPointSolver):
    """Another library's solver; its statistics are taken once it has returned.

    Attributes:
        solve: (f, start) -> z.
    """

    solve: Callable[[Map, Tensor], Tensor]

    @torch.no_grad()
    def __call__(self, f: Map, start: Tensor, select: Callable[[Tensor], Map] | None = None) -> FixedPointSolution:
        """See ``FixedPointSolver``; ``select`` is of no use to solvers that know whole batches only."""
        z = self.solve(f, start)
        unknown = torch.full((len(z),), torch.nan, device=z.device)
        no = torch.zeros(len(z), dtype=torch.bool, device=z.device)
        return FixedPointSolution(z, SolveStats(no.long(), unknown, no, no))


def peer_solvers(max_steps: int, tolerance: float, history: int) -> dict[tuple[str, str], PeerSolver]:
    """Return the installed peers' solvers by (library, method), at one tolerance on the relative residual.

    deepinv stops when an iterate moves by less than the tolerance, relative to its size: it has no residual.

    Args:
        max_steps: bound on map evaluations.
        tolerance: see ``FixedPointSolver``.
        history: of Anderson's method.
    """
    solvers: dict[tuple[str, str], Callable[[Map, Tensor], Tensor]] = {}
    if importlib.util.find_spec("torchdeq"):
        solvers |= _torchdeq(max_steps, tolerance, history)
    if importlib.util.find_spec("deepinv"):
        solvers |= _deepinv(max_steps, tolerance, history)
    return {key: PeerSolver(max_steps=max_steps, tolerance=tolerance, solve=solve) for key, solve in solvers.items()}


def _torchdeq(max_steps: int, tolerance: float, history: int) -> dict[tuple[str, str], Callable[[Map, Tensor], Tensor]]:
    from torchdeq.solver import get_solver

    def method(name: str, **options: Any) -> Callable[[Map, Tensor], Tensor]:
        solver = get_solver(name)
        return lambda f, start: solver(f, start, max_iter=max_steps, tol=tolerance, stop_mode="rel", **options)[0]

    return {
        ("torchdeq", "anderson"): method("anderson", m=history),
        ("torchdeq", "broyden"): method("broyden"),
        ("torchdeq", "picard"): method("fixed_point_iter"),
    }


def _deepinv(max_steps: int, tolerance: float, history: int) -> dict[tuple[str, str], Callable[[Map, Tensor], Tensor]]:
    module = import_deepinv().optim.fixed_point

    def moved_little(_: int, before: dict[str, Any], after: dict[str, Any]) -> bool:
        old, new = before["est"][0], after["est"][0]
        return bool((new - old).norm() < tolerance * new.norm())

    def method(anderson: SimpleNamespace | None) -> Callable[[Map, Tensor], Tensor]:
        def solve(f: Map, start: Tensor) -> Tensor:
            class Iterator(torch.nn.Module):
                cost_fn = None

                def forward(self, x: dict[str, Any], *_: Any) -> dict[str, Any]:
                    return {"est": (f(x["est"][0]),), "cost": None}

            loop = module.FixedPoint(
                iterator=Iterator(),
                init_iterate_fn=lambda *_, **__: {"est": (start,), "cost": None},
                check_conv_fn=moved_little,
                max_iter=max_steps,
                anderson_acceleration_config=anderson,
            )
            return loop()[0]["est"][0]

        return solve

    config = SimpleNamespace(history_size=history, beta=1.0, eps=DEEPINV_EPSILON, full_backprop=False)
    return {("deepinv", "anderson"): method(config), ("deepinv", "picard"): method(None)}
