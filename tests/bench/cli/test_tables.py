"""Tables on stdout: whole where no terminal bounds them."""

from rich.table import Table

from bench.cli.tables import print_table


def test_a_table_in_a_pipe_is_not_cut(capsys):
    table = Table("name", "value")
    table.add_row("x" * 300, "word " * 100)
    print_table(table)
    out = capsys.readouterr().out
    assert "x" * 300 in out
    assert " ".join(["word"] * 100) in out
    assert "..." not in out
