"""The protocol before has a page of its own, and no figure of it is on the front page."""

import json

import pytest

from bench.records import AccuracySpec, Record
from bench.report.render import render
from bench.report.selection.records import load_records

TODAY = AccuracySpec.model_fields["protocol"].default


def age(store, path, protocol):
    """Give a record another protocol, under the name that it then has."""
    content = json.loads(path.read_text())
    content["spec"]["protocol"] = protocol
    path.unlink()
    store.add(Record.model_validate(content))


@pytest.fixture
def rendered(samples, tmp_path):
    for protocol, psnr in ((TODAY - 2, 21.25), (TODAY - 1, 22.25)):
        age(samples.store, samples.accuracy("deblur", "luser-dw", psnr=psnr), protocol)
    samples.accuracy("deblur", "luser-dw", psnr=23.25)
    render(samples.store.root, tmp_path / "reports")
    return tmp_path / "reports"


def test_the_page_shows_the_last_protocol_before_todays(rendered):
    page = (rendered / "earlier.md").read_text()
    assert f"under protocol {TODAY - 1}; the\ncurrent one is {TODAY}" in page
    assert "![Table 2, small scale, generated images](earlier-small-generated.png)" in page
    shown = (rendered / "earlier-small-generated.csv").read_text()
    assert ",22.25," in shown
    assert not any(figure in shown for figure in (",21.25,", ",23.25,"))


def test_the_front_page_shows_todays_and_leads_to_the_other(rendered):
    assert "](earlier.md)" in (rendered / "README.md").read_text()
    assert "earlier-" not in (rendered / "README.md").read_text()
    assert ",23.25," in (rendered / "table2.csv").read_text()
    assert "22.25" not in (rendered / "table2.csv").read_text()


def test_without_an_earlier_protocol_there_is_no_page(samples, tmp_path):
    samples.accuracy("deblur", "luser-dw")
    assert load_records(samples.store).earlier.accuracy == ()
    written = render(samples.store.root, tmp_path)
    assert not any("earlier" in path.name for path in written)
    assert "earlier" not in (tmp_path / "README.md").read_text()
