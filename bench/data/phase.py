"""The phase convention of complex images."""

import numpy as np
from numpy.typing import NDArray


def reference_phase(image: NDArray[np.complexfloating]) -> NDArray[np.float32]:
    """Turn a complex image so that the sum of its pixels is real and positive, and split it into two channels.

    A scanner's receiver adds an arbitrary constant phase, which no magnitude depends on; the centre of k-space,
    always measured, is this sum and gives the constant away. Taking it out spares every network from learning
    that the constant means nothing.

    Args:
        image: (H, W), any complex precision.

    Returns:
        Real and imaginary part, (2, H, W) float32.
    """
    turned = image * np.exp(-1j * np.angle(image.sum()))
    return np.stack([turned.real, turned.imag]).astype(np.float32)
