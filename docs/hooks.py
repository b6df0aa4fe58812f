"""What MkDocs adds to the pages in this folder: a page for every command, from its own help, and the figures."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from bench.__main__ import COMMANDS

WIDTH = 80
FIGURES = ("memory.png", "figure2.png", "proof-table.png", "claims.png", "table2.png")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the commands' pages and the committed figures that pages show."""
    for name, lazy in COMMANDS.items():
        files.append(File.generated(config, f"commands/{name}.md", content=_page(name, lazy.path, lazy.about)))
    reports = Path(config.config_file_path).parent / "reports"
    for name in FIGURES:
        files.append(File.generated(config, f"figures/{name}", abs_src_path=str(reports / name)))
    return files


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List the commands' pages in the navigation."""
    (commands,) = (entry["Commands"] for entry in config.nav if "Commands" in entry)
    commands += [{name: f"commands/{name}.md"} for name in COMMANDS]
    return config


def _page(name: str, path: str, about: str) -> str:
    module, _, attribute = path.partition(":")
    command = getattr(import_module(module), attribute)
    text = [f"# bench {name}", about, f"`python -m bench.{name}` and `python -m bench {name}` are the same command."]
    for words, found in _with_subcommands(f"python -m bench.{name}", command):
        title = words.removeprefix("python -m ")
        text += [f"## {title}", "```text", f"$ {words} --help", _help_of(words, found), "```"]
    return "\n\n".join(text).replace("```text\n\n", "```text\n").replace("\n\n```", "\n```")


def _with_subcommands(words: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield words, command
    if isinstance(command, click.Group):
        with click.Context(command) as context:
            for name in command.list_commands(context):
                found = command.get_command(context, name)
                assert found is not None
                yield f"{words} {name}", found


def _help_of(words: str, command: click.Command) -> str:
    with click.Context(command, info_name=words, terminal_width=WIDTH, max_content_width=WIDTH) as context:
        return command.get_help(context)
