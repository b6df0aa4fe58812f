"""Evaluation of trained weights: images, conventions, intervals."""
