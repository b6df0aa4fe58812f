"""Generated images, for runs without a data set."""
