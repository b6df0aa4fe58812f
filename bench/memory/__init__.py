"""The largest batch under a memory cap: proved on a GPU, simulated without one."""
