"""The regression gate: what the benchmark computes today, beside a stored baseline."""
