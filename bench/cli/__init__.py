"""Shared parts of the commands: exit codes, option types, common options, the user's own models and images."""

from bench.cli.command import EXIT_BAD_INPUT, EXIT_CODES, EXIT_FAILED_CELLS, EXIT_INTERRUPTED, interrupt_says, run
from bench.cli.options import (
    MODEL,
    TASK,
    data_options,
    models_option,
    output_option,
    policy_option,
    results_option,
    scale_option,
    selection_options,
)
from bench.cli.parameters import Bytes, ImageSize, Name, unknown
from bench.cli.study import Study, study_options, study_options_here

__all__ = [
    "EXIT_BAD_INPUT",
    "EXIT_CODES",
    "EXIT_FAILED_CELLS",
    "EXIT_INTERRUPTED",
    "MODEL",
    "TASK",
    "Bytes",
    "ImageSize",
    "Name",
    "Study",
    "data_options",
    "interrupt_says",
    "models_option",
    "output_option",
    "policy_option",
    "results_option",
    "run",
    "scale_option",
    "selection_options",
    "study_options",
    "study_options_here",
    "unknown",
]
