"""What every command of the benchmark shares: option types, common options and how mistakes are told."""

import difflib
import importlib
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

if TYPE_CHECKING:
    from models import ReconstructionModel

EXIT_FAILED_CELLS = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130

EXIT_CODES = (
    "Exit codes: 0 every cell has an answer; 1 a cell failed or has no finite quality (its record says why); "
    "2 bad input; 130 interrupted, everything finished so far is stored."
)

_UNITS = {"B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}
_F = TypeVar("_F", bound=Callable[..., Any])


STORED = "everything finished so far is stored; run again to go on"


def run(command: click.Command, interrupted: str = STORED) -> NoReturn:
    """Run a command; a user's mistake ends in one line on stderr and exit code 2, an interrupt in 130.

    Args:
        command: the click command of a ``__main__`` module.
        interrupted: what an interrupt leaves behind, for its message.
    """
    try:
        result = command.main(standalone_mode=False)
    except click.ClickException as error:
        click.echo("error: " + " ".join(error.format_message().split()), err=True)
        sys.exit(EXIT_BAD_INPUT)
    except (click.Abort, KeyboardInterrupt):
        click.echo(f"interrupted: {interrupted}", err=True)
        sys.exit(EXIT_INTERRUPTED)
    sys.exit(result if isinstance(result, int) else 0)


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Say that a name is unknown, its nearest match and the known ones, in one line."""
    names = list(known)
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]!r}?" if near else ";"
    return f"unknown {kind} {name!r}{hint} known: {', '.join(names)}"


class Name(click.ParamType):  # type: ignore[type-arg]  # generic in new versions of click only
    """A key of a registry; a wrong one is answered with the known ones and the nearest match.

    Args:
        kind: what the name names, for the message.
        known: returns the known names; called when an option is parsed, so that ``--help`` stays fast.
    """

    def __init__(self, kind: str, known: Callable[[], Iterable[str]]) -> None:
        self.name = kind
        self._known = known

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name, or fail with one line."""
        names = list(self._known())
        if value not in names:
            raise click.ClickException(unknown(self.name, value, names))
        return value


class ModelName(Name):
    """A key of ``MODELS``, or a user's own ``package.module:Model``."""

    def __init__(self) -> None:
        super().__init__("model", _model_names)

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name; a user's own model is made once, so that no command begins with what is none."""
        if ":" not in value:
            return super().convert(value, param, ctx)
        from bench.cli.user_model import check_model

        check_model(value)
        return value


def resolve_model(name: str) -> "Callable[..., ReconstructionModel]":
    """Return what makes a model: an entry of ``MODELS``, or ``package.module:Model`` imported.

    Raises:
        click.ClickException: if a user's own model cannot be imported, or is none.
    """
    from models import MODELS, ReconstructionModel

    if name in MODELS:
        return MODELS[name]
    module, _, attribute = name.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        made = getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:  # a user's module may raise anything
        from bench.cli.user_model import why_absent

        raise click.ClickException(f"cannot import model {name!r}: {why_absent(name, error)}") from error
    finally:
        sys.path.pop(0)
    if not callable(made) or (isinstance(made, type) and not issubclass(made, ReconstructionModel)):
        raise click.ClickException(f"{name!r} is no models.ReconstructionModel: {type(made).__name__}")
    return made  # what a function makes shows when it is called


class Bytes(click.ParamType):  # type: ignore[type-arg]
    """An amount of memory such as 10GB or 7.5GB; GB means GiB, as on graphics cards."""

    name = "size"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return bytes, or fail with one line."""
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", value)
        unit = (match[2].upper().replace("IB", "B") if match else "") or "missing"
        if match is None or unit not in _UNITS:
            raise click.ClickException(
                f"cannot read memory size {value!r}: write a number and one of {', '.join(_UNITS)}, e.g. 10GB"
            )
        size = int(float(match[1]) * _UNITS[unit])
        if size <= 0:
            raise click.ClickException(f"memory size {value!r} must be more than zero")
        return size


class ImageSize(click.ParamType):  # type: ignore[type-arg]
    """An image size such as 256 (square) or 218x178 (height x width), in pixels."""

    name = "size"

    def convert(
        self, value: str | tuple[int, int], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Return (height, width), or fail with one line."""
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"(\d+)(?:x(\d+))?", value.strip().lower())
        if match is None or int(match[1]) < 16 or int(match[2] or match[1]) < 16:
            raise click.ClickException(
                f"cannot read image size {value!r}: write 256 or 218x178 (height x width), 16 pixels at least"
            )
        return int(match[1]), int(match[2] or match[1])


def _task_names() -> list[str]:
    from bench.tasks import TASKS

    return list(TASKS)


def _model_names() -> list[str]:
    from models import MODELS

    return list(MODELS)


TASK = Name("task", _task_names)
MODEL = ModelName()


def _scale_names() -> list[str]:
    from bench.tasks.scales import SCALES

    return list(SCALES)


scale_option = click.option(
    "--scale",
    type=Name("scale", _scale_names),
    default="quick",
    show_default=True,
    help="Image size and length of the training: quick (minutes on two cores), small (hours), full (the paper's "
    "image sizes: up to an hour per cell on one core with AMX), paper (GPU).",
)
policy_option = click.option(
    "--policy",
    "policies",
    type=click.Choice(["paper", "recompute"]),
    multiple=True,
    default=("paper",),
    show_default=True,
    help="What training keeps for the backward pass: one graph a stage, or a stage's input and output; repeatable.",
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


def common_options(function: _F) -> _F:
    """Add ``--results``, ``--force`` and ``--device`` to a measuring command."""
    for option in (
        click.option(
            "--device",
            default="auto",
            show_default=True,
            help="cpu, cuda, cuda:1, ... ; auto takes CUDA where there is one.",
        ),
        click.option("--force", is_flag=True, help="Measure again what is already stored for this machine."),
        results_option,
    ):
        function = option(function)
    return function


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
