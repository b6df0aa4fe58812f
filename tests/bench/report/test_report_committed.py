"""What is committed in reports/ is what the committed records say."""

from pathlib import Path

import pytest

from bench.report.render import render

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.slow
def test_reports_are_rendered_from_the_records_beside_them(tmp_path):
    rendered = render(ROOT / "results", tmp_path)
    kinds = {".md", ".tex", ".csv"}  # pictures differ with the fonts of a machine
    texts = [path.name for path in rendered if path.suffix in kinds]
    assert len(texts) > 15
    for name in texts:
        assert (tmp_path / name).read_text() == (ROOT / "reports" / name).read_text(), name
