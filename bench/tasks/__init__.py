"""The study's inverse problems. Adding one is a file beside this one and a line here."""

from bench.tasks.base import Task
from bench.tasks.ct import CT
from bench.tasks.deblur import DEBLUR
from bench.tasks.mri import mri_task

__all__ = ["TASKS", "Task"]

TASKS: dict[str, Task] = {task.name: task for task in (DEBLUR, CT, mri_task(4), mri_task(8))}
"""Key -> task, in the paper's order."""
