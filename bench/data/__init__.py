"""Ground-truth images: generated on the fly, or read from the layouts of the public data sets."""

from bench.data.base import DataError, ImageSplit, LabelledImage, MeasuredImage, Split, source_label, spread

__all__ = ["DataError", "ImageSplit", "LabelledImage", "MeasuredImage", "Split", "source_label", "spread"]
