"""An image that no flip or turn leaves alone, and how far a result is from what was expected."""

import torch

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def phantom(shape, dtype=torch.float32):
    """Two smooth bumps on one side of the image, so that no flip or turn goes unseen."""
    v, u = (torch.arange(n, dtype=torch.float64) - (n - 1) / 2 for n in shape)
    v = -v[:, None] / shape[0]
    u = u / shape[1]
    image = torch.exp(-80 * ((u - 0.15) ** 2 + (v - 0.1) ** 2)) + 0.5 * torch.exp(-90 * ((u + 0.1) ** 2 + v**2))
    return image.to(DEVICE, dtype)[None, None]


def relative_error(result, expected):
    return float(torch.linalg.vector_norm(result - expected) / torch.linalg.vector_norm(expected))
