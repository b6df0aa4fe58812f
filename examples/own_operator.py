"""An operator of your own: write A and its adjoint; gradients, the norm and formulas come with the base class.

The example averages blocks of pixels, a camera with large pixels. The dot test <A x, y> = <x, A^H y> tells that the
two methods belong together. Then a network of the study learns with it, and `2 * A.H @ A` is an operator, too.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from models import LuserSW
from operators import LinearOperator


class LargePixels(LinearOperator):
    """Means of blocks of pixels: (B, C, H, W) -> (B, C, H / factor, W / factor)."""

    def __init__(self, image_shape: tuple[int, int], channels: int = 1, factor: int = 2) -> None:
        height, width = image_shape
        super().__init__((channels, height, width), (channels, height // factor, width // factor))
        self.factor = factor

    def _forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, self.factor)

    def _adjoint(self, y: Tensor) -> Tensor:
        rows = y.repeat_interleave(self.factor, dim=-2)
        return rows.repeat_interleave(self.factor, dim=-1) / self.factor**2


def main() -> None:
    """Check the operator, write a formula with it, and train on it."""
    torch.manual_seed(0)
    A = LargePixels((32, 32))
    x, y = torch.rand(1, *A.image_shape).double(), torch.rand(1, *A.data_shape).double()
    left, right = (A(x) * y).sum(), (x * A.adjoint(y)).sum()
    print(f"dot test: <A x, y> = {left:.6f}, <x, A^H y> = {right:.6f}")
    assert torch.isclose(left, right)

    formula = 2 * A.H @ A
    print(f"formula:  {formula}")
    print(f"norms:    {A.norm():.3f} of A, {formula.norm():.3f} of 2 A^H A")

    model = LuserSW(channels=1, num_stages=2)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    truth = F.interpolate(torch.rand(4, 1, 8, 8), scale_factor=4, mode="bilinear")
    losses = []
    for _ in range(30):
        loss = F.mse_loss(model(A(truth), A).image, truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    print(f"loss:     {losses[0]:.5f} at first, {losses[-1]:.5f} after {len(losses)} steps")


if __name__ == "__main__":
    main()
