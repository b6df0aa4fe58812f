"""What real GPUs and a real CPU say of the simulator."""
