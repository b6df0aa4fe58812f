"""A group of commands that are imported when they are called: their ``--help`` does not wait for torch."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass

import click
from click.shell_completion import CompletionItem

from bench.cli.parameters import unknown


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
        lazy: name -> command, in the order of the help.
    """

    def __init__(self, *arguments: object, lazy: Mapping[str, Lazy], **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]  # click checks its own
        self.lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names."""
        return list(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None for an unknown name."""
        if cmd_name not in self.lazy:
            return None
        module, _, name = self.lazy[cmd_name].path.partition(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the name, the command and its arguments.

        Raises:
            click.UsageError: with the nearest name, if the command is unknown.
        """
        if args[0] not in self.lazy and not ctx.resilient_parsing:
            raise click.UsageError(unknown("command", args[0], self.lazy), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.about) for name, command in self.lazy.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the names and options that begin so, without importing the commands."""
        names = [
            CompletionItem(name, help=lazy.about) for name, lazy in self.lazy.items() if name.startswith(incomplete)
        ]
        return names + click.Command.shell_complete(self, ctx, incomplete)
