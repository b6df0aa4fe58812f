"""How trained weights are graded: images, conventions, intervals."""
