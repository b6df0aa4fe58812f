"""Ledgers and archives: what is kept of a part, found again, and brought home."""

import io
import tarfile

import pytest

from bench.gpu.archive import adopt, pack, unpack
from bench.gpu.ledger import Ledger


def test_a_ledger_goes_on_after_a_torn_line(tmp_path):
    path = tmp_path / "ledgers" / "part.jsonl"
    first = Ledger(path)
    first.put("a", {"bytes": 1})
    first.fail("b", "RuntimeError: no")
    with path.open("a") as file:
        file.write('{"name": "c", "fig')
    second = Ledger(path)
    assert (second.figures, second.failures) == ({"a": {"bytes": 1}}, {"b": "RuntimeError: no"})
    second.put("b", 2)
    third = Ledger(path)
    assert (third.figures, third.failures) == ({"a": {"bytes": 1}, "b": 2}, {})


@pytest.fixture
def found(tmp_path):
    folder = tmp_path / "gpu"
    for name in ("results/memory/a.json", "results/checkpoints/b", "calibration/c.json", "histories/d.gz", "log"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    pack(folder / "1-x.tar.gz", folder, [path for path in sorted(folder.rglob("*")) if path.is_file()])
    return folder


def test_an_archive_gives_back_what_is_missing_and_nothing_else(found, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "log").write_text("mine")
    written = unpack(found / "1-x.tar.gz", elsewhere)
    assert len(written) == 4
    assert (elsewhere / "log").read_text() == "mine"
    assert (elsewhere / "results/memory/a.json").read_text() == "results/memory/a.json"


def test_findings_come_home_and_checkpoints_do_not(found, tmp_path):
    homes = {name: tmp_path / "home" / name for name in ("results", "calibration", "histories")}
    (homes["results"] / "memory").mkdir(parents=True)
    (homes["results"] / "memory" / "a.json").write_text("an older one")
    written = {path.relative_to(tmp_path / "home").as_posix() for path in adopt(found, homes)}
    assert written == {"results/memory/a.json", "calibration/c.json", "histories/d.gz"}
    assert (homes["results"] / "memory" / "a.json").read_text() == "results/memory/a.json"


def test_an_archive_leaves_out_what_would_make_it_too_large(tmp_path):
    wanted, large = tmp_path / "wanted", tmp_path / "large"
    wanted.write_bytes(b"1")
    large.write_bytes(bytes(5000))
    assert pack(tmp_path / "a.tar.gz", tmp_path, [wanted, large], most_bytes=4000) == ["large"]
    with tarfile.open(tmp_path / "a.tar.gz") as tar:
        assert tar.getnames() == ["wanted"]


def test_names_that_lead_out_of_the_folder_are_skipped(tmp_path):
    with tarfile.open(tmp_path / "1-x.tar.gz", "w:gz") as tar:
        for name in ("../out", "/tmp/out", "results/../../out"):
            member = tarfile.TarInfo(name)
            member.size = 1
            tar.addfile(member, io.BytesIO(b"1"))
    assert unpack(tmp_path / "1-x.tar.gz", tmp_path / "in") == []
    assert adopt(tmp_path, {"results": tmp_path / "home"}) == []
