"""Benchmark of memory-efficient learned image reconstruction; see README.md."""
