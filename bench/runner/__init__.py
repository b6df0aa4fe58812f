"""Runs the cells of a study: which are due, each in a process of its own, what is shown meanwhile, what is stored."""
