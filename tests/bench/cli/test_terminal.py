"""What is printed reaches every terminal, whatever its encoding, and however a folder is called."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.data.__main__ import main

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = """
import sys
import click
from rich.console import Console
from rich.table import Table
from bench.cli.terminal import write_what_the_terminal_has

write_what_the_terminal_has()
table = Table(title="images \u00d7 3")
table.add_column("é \U0001f600")
table.add_row("a \\udcff", "µ → ≤")
Console().print(table)
click.echo("error: Å/≤ \\udcff", err=True)
"""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8", "ascii:strict", "koi8-r"])
def test_a_table_degrades_on_a_terminal_that_lacks_its_characters(encoding):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding, "COLUMNS": "60"}
    answer = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert b"images" in answer.stdout
    assert answer.stderr.startswith(b"error: ")


@pytest.mark.parametrize("name", ["[/red]", "[bold]x", "a[/]", "[link=http://x]y"])
def test_a_folders_name_is_no_markup(tmp_path, write_photo, name):
    folder = tmp_path / name.replace("/", "_")
    for split in ("train", "val", "test"):
        write_photo(folder / split / "a.png")
    link = tmp_path / "[" / "red]" if name == "[/red]" else folder
    if link != folder:
        link.parent.mkdir()
        link.symlink_to(folder)  # its label is '[/red]'
    answer = CliRunner().invoke(main, ["check", "--data", str(link)], env={"COLUMNS": "200"})
    assert answer.exit_code == 0, answer.output
    assert f"{link.parent.name}/{link.name}" in answer.output
