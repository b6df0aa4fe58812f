"""The operator that measures the image itself."""

from collections.abc import Sequence

import torch
from torch import Tensor

from operators.base import LinearOperator
from operators.validation import COMPLEX_DTYPES, REAL_DTYPES, require_count, require_dtype


class Identity(LinearOperator):
    """x -> x, as a copy; it drops out of compositions.

    Args:
        image_shape: of one image, such as (C, H, W), or of another operator's measurements.
        complex_images: whether images are complex.

    Raises:
        ValueError: if a size is no positive integer.

    Examples:
        >>> from operators import GaussianBlur, Identity
        >>> blur = GaussianBlur((16, 16))
        >>> sharpen = 2 * Identity(blur.image_shape) - blur
        >>> sharpen
        (2 * Identity - GaussianBlur): (3, 16, 16) -> (3, 16, 16), 0.0 MB of tables
    """

    def __init__(self, image_shape: Sequence[int], *, complex_images: bool = False) -> None:
        if isinstance(image_shape, (str, int)) or not hasattr(image_shape, "__iter__"):
            raise ValueError(f"image_shape must be a sequence of sizes, got {image_shape!r}")
        shape = tuple(require_count("a size in image_shape", size) for size in image_shape)
        super().__init__(shape, shape)
        self.complex_images = complex_images

    def _forward(self, x: Tensor) -> Tensor:
        require_dtype(x, COMPLEX_DTYPES if self.complex_images else REAL_DTYPES, "image")
        return x.clone()

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._forward(y)

    def _gramian(self, x: Tensor) -> Tensor:
        return self._forward(x)

    def norm(self) -> float:
        """Return 1."""
        return 1.0

    def _data_dtype(self, dtype: torch.dtype) -> torch.dtype:
        return dtype
