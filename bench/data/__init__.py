"""Ground-truth images: generated on the fly, or read from the layouts of the public data sets."""
