"""A group of commands that are imported when they are called: their ``--help`` does not wait for torch."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass

import click


@dataclass(frozen=True)
class Lazy:
    """A command of another module.

    Attributes:
        path: ``package.module:command``.
        about: one line for the group's help.
    """

    path: str
    about: str


class LazyGroup(click.Group):
    """A click group whose commands are imported when they are called.

    Args:
        lazy: name -> command.
    """

    def __init__(self, *arguments: object, lazy: Mapping[str, Lazy], **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]  # click checks its own
        self.lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, sorted."""
        return sorted({*super().list_commands(ctx), *self.lazy})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None for an unknown name."""
        if cmd_name not in self.lazy:
            return super().get_command(ctx, cmd_name)
        module, _, name = self.lazy[cmd_name].path.partition(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.lazy[name].about) for name in sorted(self.lazy)])
