"""The parts of a training run; ``bench.training.trainer`` puts them together."""
