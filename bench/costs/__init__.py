"""What a training step and a reconstruction cost: seconds, and applications of the operator (Table 4)."""
