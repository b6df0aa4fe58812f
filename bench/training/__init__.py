"""The parts of a training run; ``bench.train`` puts them together."""
