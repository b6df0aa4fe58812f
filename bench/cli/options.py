"""Options that commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from bench.cli.parameters import Name

_F = TypeVar("_F", bound=Callable[..., Any])


def _task_names() -> list[str]:
    from bench.tasks import TASKS

    return list(TASKS)


def _model_names() -> list[str]:
    from models import MODELS

    return list(MODELS)


# The paper's names, which a shell completes without waiting for torch.
def _paper_tasks() -> list[str]:
    from bench.records.paper import load_paper

    return [task.key for task in load_paper().tasks]


def _paper_models() -> list[str]:
    from bench.records.paper import load_paper

    return [model.key for model in load_paper().models]


class ModelName(Name):
    """A key of ``MODELS``, or a user's own ``package.module:Model``."""

    def __init__(self) -> None:
        super().__init__("model", _model_names, _paper_models)

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name; a user's own model is built once, to refuse a wrong one before anything is measured."""
        if ":" not in value or (ctx is not None and ctx.resilient_parsing):
            return super().convert(value, param, ctx)
        from bench.cli.model_check import check_model

        check_model(value)
        return value


TASK = Name("task", _task_names, _paper_tasks)
MODEL = ModelName()


def _scale_names() -> list[str]:
    from bench.tasks.scales import SCALES

    return list(SCALES)


def _recipe_scales() -> list[str]:
    from bench.records.recipe import scale_names

    return scale_names()


scale_option = click.option(
    "--scale",
    type=Name("scale", _scale_names, _recipe_scales),
    default="quick",
    show_default=True,
    help="Image size and training length: quick (minutes on two cores), small (hours), full (the paper's image sizes, "
    "up to an hour per cell on one core with AMX), paper (GPU).",
)
policy_option = click.option(
    "--policy",
    "policies",
    type=click.Choice(["paper", "recompute"]),
    multiple=True,
    default=("paper",),
    show_default=True,
    help="Tensors kept for the backward pass: each stage's graph, or only its input and output; repeatable.",
)
results_option = click.option(
    "--results",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("results"),
    show_default=True,
    help="Folder of the stored records.",
)
output_option = click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("reports"),
    show_default=True,
    help="Folder of the rendered tables and figures.",
)


def data_options(function: _F) -> _F:
    """Add ``--data`` and ``--data-root``, which ``bench.cli.sources.data_sources`` reads together."""
    root = click.option(
        "--data-root",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="Folder with the data sets of all tasks, in celeba/, lodopab/ and fastmri/; --data overrides it.",
    )
    data = click.option(
        "--data",
        multiple=True,
        metavar="[TASK=]FOLDER",
        help="Real images in their published layout, for all tasks or for one; repeatable. Default: generated images.",
    )
    return data(root(function))


models_option = click.option(
    "--model",
    "models",
    type=MODEL,
    multiple=True,
    help="Model, or package.module:Model of your own; repeatable. Default: all.",
)


def selection_options(function: _F) -> _F:
    """Add ``--task`` and ``--model``, each repeatable; none means all models and the paper's tasks."""
    task = click.option("--task", "tasks", type=TASK, multiple=True, help="Task; repeatable. Default: the paper's.")
    return task(models_option(function))
