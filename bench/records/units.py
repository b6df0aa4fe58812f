"""Units of memory, and the one memory constant that simulations and reports share. Never imports torch."""

KIB, MIB, GIB = 2**10, 2**20, 2**30

ALLOWANCE_BYTES = int(0.6 * GIB)
"""Of a process beside its tensors, where nothing is known of its GPU: context, handles and workspaces together."""
