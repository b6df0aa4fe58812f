"""Operators made of operators, which the contract tests run over too."""

from operators import Diffraction, GaussianBlur, Identity, Radon, SubsampledFourier, stack


def _blur(image_shape, boundary="reflect"):
    return GaussianBlur(image_shape, channels=1, size=3, variance=1.0, boundary=boundary)


FORMULAS = {
    "gaussian-blur-adjoint": lambda image_shape: GaussianBlur(image_shape, boundary="reflect").H,
    "gaussian-blur-scaled": lambda image_shape: -0.5 * GaussianBlur(image_shape, boundary="reflect"),
    "radon-adjoint": lambda image_shape: Radon(image_shape).H,
    "radon-of-sum": lambda image_shape: (
        Radon(image_shape) @ (Radon(image_shape, num_angles=3).N / 20 + 2 * Identity((1, *image_shape)))
    ),
    "subsampled-fourier-normal": lambda image_shape: SubsampledFourier(image_shape).N,
    "subsampled-fourier-stack": lambda image_shape: stack(
        [SubsampledFourier(image_shape, seed=seed) for seed in (0, 1)]
    ),
    "subsampled-fourier-twice": lambda image_shape: SubsampledFourier(image_shape) @ SubsampledFourier(image_shape).N,
    "diffraction-of-blur": lambda image_shape: 0.5 * Diffraction(image_shape) @ _blur(image_shape),
    "diffraction-sum": lambda image_shape: Diffraction(image_shape) + Diffraction(image_shape, delay=0.5),
    "diffraction-stack": lambda image_shape: stack(
        [Diffraction(image_shape), Diffraction(image_shape) @ (0.25 * _blur(image_shape)), Diffraction(image_shape, 1)]
    ),
}
