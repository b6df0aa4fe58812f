"""The fixed point of any function, and four ways to its gradient: `models.fixed_point`.

z = tanh(W z + x) is solved for a batch of x. The exact rule solves a linear system and keeps one application of the
map. The Jacobian-free and the phantom rule skip that system, and are less exact. The last rule puts every step on
autograd's tape: memory grows with the steps. The reference is that rule with 300 steps.
"""

import torch
from torch import nn

from models import Anderson, Broyden, Implicit, Phantom, Picard, Unrolled, fixed_point


class Layer(nn.Module):
    """z -> tanh(W z + x), with a W that shrinks distances."""

    def __init__(self, width: int) -> None:
        super().__init__()
        weight = torch.randn(width, width)
        self.weight = nn.Parameter(0.95 * weight / torch.linalg.matrix_norm(weight, 2))

    def forward(self, z: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Apply the map once, to z and x of shape (B, width)."""
        return torch.tanh(z @ self.weight.T + x)


RULES = {
    "exact": Implicit(),
    "Jacobian-free": Phantom(steps=1),
    "phantom, 5 steps": Phantom(steps=5),
    "unrolled, 20 steps": Unrolled(steps=20),
}


def main() -> None:
    """Solve by every method, then compare gradients."""
    torch.manual_seed(0)
    layer, x = Layer(20), 0.1 * torch.randn(3, 20)
    for method in (Picard, Anderson, Broyden):
        solver = method(max_steps=200, tolerance=1e-5)
        found = fixed_point(layer, torch.zeros_like(x), inputs=(x,), solver=solver)
        print(f"{method.__name__}: {found.outcome.value} after {found.steps.tolist()} steps")

    def gradient(rule: object) -> torch.Tensor:
        layer.zero_grad()
        solver = Anderson(max_steps=200, tolerance=1e-5)
        found = fixed_point(layer, torch.zeros_like(x), inputs=(x,), solver=solver, gradient=rule)
        found.value.square().sum().backward()
        return layer.weight.grad.clone()

    reference = gradient(Unrolled(steps=300))
    for name, rule in RULES.items():
        error = (gradient(rule) - reference).norm() / reference.norm()
        print(f"{name}: relative error of the gradient {error:.1e}")


if __name__ == "__main__":
    main()
