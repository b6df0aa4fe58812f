"""The Radon transform of parallel-beam CT, and the projectors behind it."""

from operators.radon.joseph import ParallelBeam
from operators.radon.transform import DEFAULT_NUM_ANGLES, Radon

__all__ = ["DEFAULT_NUM_ANGLES", "ParallelBeam", "Radon"]
