"""Fixed points of a map, and gradients through them."""
