"""The whole rendering: what is written, that it is the same every time, and how mistakes are told."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib.image import imread

from bench.report.render import render

ROOT = Path(__file__).resolve().parents[3]
HEADLINE = {
    *("table2.tex", "table2.csv", "table2.png", "table3.tex", "table3.png", "table4.tex", "table4.png"),
    *("claims.tex", "claims.png", "convergence.png"),
    *("memory-detail.tex", "memory-detail.png"),
    *("figure2.png", "memory.png", "gain.png", "training.png", "stages.png", "README.md", "cells.md"),
    *("solvers.tex", "solvers.png", "gradients.tex", "gradients.png"),
    *("operators.png", "operators-table.tex", "operators-table.png", "operators-table.csv"),
}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory, make_samples):
    """A study at two scales, rendered twice."""
    folder = tmp_path_factory.mktemp("report")
    samples = make_samples(folder / "results")
    samples.fill()
    samples.fill_accuracy(scale="quick", tasks=("ct",))
    samples.accuracy("ct", "user.nets:My_Model", data="generated", dirty=True)
    for name in ("first", "second"):
        render(folder / "results", folder / name)
    return folder


def test_everything_is_written(rendered):
    other = {f"{name}-quick-generated.{ending}" for name, ending in (("table2", "tex"), ("table2", "csv"))}
    other |= {"table2-quick-generated.png", "figure2-quick-generated.png"}
    other |= {"claims-quick-generated.tex", "claims-quick-generated.png"}
    assert {path.name for path in (rendered / "first").iterdir()} == HEADLINE | other


def test_rendering_again_gives_the_same_bytes(rendered):
    for path in sorted((rendered / "first").iterdir()):
        assert path.read_bytes() == (rendered / "second" / path.name).read_bytes(), path.name


def test_users_matplotlib_settings_change_nothing(samples, tmp_path):
    samples.memory("ct", "luser-dw", 8, 2)
    render(samples.store.root, tmp_path / "first")
    with mpl.rc_context({"font.size": 20, "axes.facecolor": "black", "savefig.dpi": 30}):
        render(samples.store.root, tmp_path / "second")
    for name in ("memory.png", "table3.png"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_images_have_sensible_sizes_and_empty_margins(rendered):
    for path in sorted((rendered / "first").glob("*.png")):
        pixels = imread(path)[..., :3]
        assert 400 < pixels.shape[0] < 4000, path.name
        assert 1000 < pixels.shape[1] < 4000, path.name
        edge = [pixels[:3], pixels[-3:], pixels[:, :3], pixels[:, -3:]]
        assert all((strip == 1).all() for strip in edge), f"{path.name} is clipped"
        assert path.stat().st_size < 2**20


def test_page_shows_every_image_and_links_to_what_exists(rendered):
    page = (rendered / "first" / "README.md").read_text(encoding="utf-8")
    links = set(re.findall(r"\]\(([^)]+)\)", page))
    assert links == {path.name for path in (rendered / "first").iterdir()} - {"README.md"}


def test_page_says_where_everything_comes_from(rendered):
    page = (rendered / "first" / "README.md").read_text(encoding="utf-8")
    for words in (
        "Small scale, generated images.",
        "36\N{MULTIPLICATION SIGN}30 pixels, 40 steps of batch 4",
        "6 test images, seed 0",
        "Device: test device; torch 0.0-test; commit c0ffee0000",
        "| c0ffee0000 † |",
        "† from a modified checkout, not a reference.",
        "python -m bench.all --scale small\n",
        "python -m bench.all --scale quick\n",
        "python -m bench.solvers\npython -m bench.operators\n",
    ):
        assert words in page
    assert str(rendered) not in page


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex on this machine")
def test_latex_compiles(rendered, tmp_path):
    if not subprocess.run(["kpsewhich", "booktabs.sty"], capture_output=True, check=False).stdout:
        pytest.skip("LaTeX lacks booktabs")
    tables = sorted((rendered / "first").glob("*.tex"))
    for path in tables:
        shutil.copy(path, tmp_path)
    preamble = r"\documentclass{article}\usepackage{booktabs,graphicx}"
    inputs = "".join(rf"\input{{{path.stem}}}\clearpage " for path in tables)
    document = rf"{preamble}\begin{{document}}{inputs}\end{{document}}"
    (tmp_path / "document.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "document.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    log = done.stdout.decode(errors="replace")
    assert done.returncode == 0, log[-2000:]
    assert "Overfull \\hbox" not in log
    assert f"({len(tables)} pages" in log


def test_a_broken_record_costs_no_other(samples, tmp_path, capsys):
    samples.memory("ct", "luser-dw", 8, 2)
    path = samples.accuracy("ct", "luser-dw")
    path.write_text("{}")
    names = {path.name for path in render(samples.store.root, tmp_path / "reports")}
    assert "table3.tex" in names
    assert "table2.tex" not in names
    assert capsys.readouterr().err.count(f"skipped: {path}: not a valid record: ") == 1


def test_records_without_accuracy_still_give_tables_3_and_4(samples, tmp_path):
    samples.memory("ct", "luser-dw", 8, 2)
    names = {path.name for path in render(samples.store.root, tmp_path / "reports")}
    tables = {f"{name}.{ending}" for name in ("table3", "table4", "memory-detail") for ending in ("tex", "png")}
    assert names == {*tables, "memory.png", "README.md"}
    assert "python -m bench.all\n" in (tmp_path / "reports" / "README.md").read_text(encoding="utf-8")


def command(*arguments, code=0):
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == code, done.stderr
    return done


def test_real_images_are_credited_under_their_table_and_figure(samples, tmp_path):
    samples.accuracy("ct", "luser-dw", data="lab/scans")
    (samples.store.root / "credits.toml").write_text('"lab/scans" = "A. Scanner, CC0."\n"lab/unused" = "Nobody."\n')
    render(samples.store.root, tmp_path)
    page = (tmp_path / "README.md").read_text()
    assert page.count("Images lab/scans: A. Scanner, CC0.") >= 1
    assert "Nobody" not in page


@pytest.mark.parametrize("content", [b"not toml", b'"lab/scans" = 3\n"b" = "B"', b'"\xff" = 1', b"a = " + b"[" * 9999])
def test_broken_credits_are_told_once(content, samples, tmp_path, capsys):
    samples.accuracy("ct", "luser-dw", data="lab/scans")
    (samples.store.root / "credits.toml").write_bytes(content)
    assert render(samples.store.root, tmp_path)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"skipped: {samples.store.root / 'credits.toml'}: ")


def test_command_without_records(tmp_path):
    done = command("-m", "bench.report", "--results", str(tmp_path), "--output", str(tmp_path / "out"), code=2)
    assert done.stderr == f"error: no records under {tmp_path}; run python -m bench.all first\n"
    assert done.stdout == ""


def test_command_names_a_broken_record(samples, tmp_path):
    path = samples.memory("ct", "luser-dw", 8, 2)
    path.write_text(path.read_text()[:50])
    done = command("-m", "bench.report", "--results", str(samples.store.root), code=2)
    skipped, error = done.stderr.splitlines()
    assert skipped.startswith(f"skipped: {path}: not a valid record: ")
    assert error.startswith("error: no records under ")


def test_command_names_a_folder_that_cannot_be_written(samples, tmp_path):
    samples.memory("ct", "luser-dw", 8, 2)
    (tmp_path / "taken").write_text("")
    output = str(tmp_path / "taken" / "reports")
    done = command("-m", "bench.report", "--results", str(samples.store.root), "--output", output, code=2)
    assert "taken" in done.stderr
    assert done.stderr.count("\n") == 1


def test_reports_need_no_torch():
    assert importlib.util.find_spec("torch") is not None
    code = "import sys, bench.report.__main__, bench.records.paper; sys.exit('torch' in sys.modules)"
    command("-c", code)
