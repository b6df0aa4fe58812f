"""The study's inverse problems. A new one is one file in this folder and one line here."""

from bench.tasks.base import Task
from bench.tasks.ct import CT
from bench.tasks.deblur import DEBLUR
from bench.tasks.diffraction import DIFFRACTION
from bench.tasks.mri import mri_task

__all__ = ["PAPER_TASKS", "TASKS", "Task"]

_PAPER = (DEBLUR, CT, mri_task(4), mri_task(8))
_EXTRA = (DIFFRACTION,)

PAPER_TASKS = tuple(task.name for task in _PAPER)
"""Keys of the paper's tasks, in its order: the default of commands without ``--task``."""

TASKS: dict[str, Task] = {task.name: task for task in (*_PAPER, *_EXTRA)}
"""Key -> task, the paper's first."""
