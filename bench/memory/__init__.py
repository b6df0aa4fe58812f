"""Which batch trains under a memory cap: proved with a GPU, simulated without one."""
