"""A report after years of use: ten thousand records."""

import time

import pytest

from bench.report.drawing.layout import Cell, Row, Table
from bench.report.drawing.table_image import MOST_ROWS, draw_table
from bench.report.render import render
from tests.many_records import write_many

MOST_S = 60
"""Of processor time, for machines that are busy; alone it takes a third of it."""


@pytest.mark.slow
def test_ten_thousand_records_are_rendered_in_time(tmp_path):
    write_many(tmp_path / "results", 10_000)
    started = time.process_time()
    assert render(tmp_path / "results", tmp_path / "reports")
    assert time.process_time() - started < MOST_S


def test_images_of_long_tables_say_where_the_other_rows_are():
    rows = tuple(Row((Cell(f"row {number}"),)) for number in range(MOST_ROWS + 7))
    table = Table(name="long", title="A long table", columns="l", header=(Row((Cell("name"),)),), body=rows, notes=())
    texts = [text.get_text() for text in draw_table(table).texts]
    assert f"row {MOST_ROWS - 1}" in texts
    assert f"row {MOST_ROWS}" not in texts
    assert "of 67 rows; long.tex" in " ".join(texts)
