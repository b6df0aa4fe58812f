"""Comparisons of the simulator with real GPUs and a real CPU."""
