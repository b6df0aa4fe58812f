"""Progress on terminals of any width, and in plain lines."""

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from bench.runner.progress import SHOWN, Reporter

ROOT = Path(__file__).parents[3]
LABEL = "accuracy deblur my_long_package.my_long_module:MyLongModel final loss, seed 0"
DETAIL = "step 265/1200, loss 0.00089, validation 35.08 dB, residual 3e-03, 0.67 steps/s, 23.1 min left"


def drawn(reporter, width):
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None, legacy_windows=False)
    console.print(reporter.render(width))
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_every_width_shows_cell_bar_and_counts(width):
    reporter = Reporter(12, io.StringIO())
    reporter.begin("first").finish("done", failed=True)
    reporter.begin(LABEL).detail(DETAIL)
    cell, detail, foot = drawn(reporter, width)
    assert cell.startswith("accuracy deblur my_long_package")
    assert detail.startswith("  step 265/1200, loss 0.00089")
    assert "1/12 done, 1 running, 1 failed" in foot
    assert max(map(len, (cell, detail, foot))) <= width
    assert foot[:10].strip(" ━╸╺") == ""


def test_many_running_cells_are_counted_and_not_all_listed():
    reporter = Reporter(100, io.StringIO())
    for number in range(SHOWN + 3):
        reporter.begin(f"cell {number}")
    assert drawn(reporter, 80)[SHOWN].strip() == "and 3 more"


def test_stored_cells_do_not_count_for_the_time_left(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("bench.runner.progress.time.monotonic", lambda: now[0])
    reporter = Reporter(10, io.StringIO())
    for number in range(5):
        reporter.begin(str(number)).finish("stored already", measured=False)
    assert reporter.time_left() == ""
    now[0] = 60.0
    reporter.begin("measured").finish("ok")
    assert reporter.time_left() == "about 4 min left"


def test_plain_output_has_one_line_per_cell_and_a_detail_now_and_then(monkeypatch):
    now, stream = [0.0], io.StringIO()
    monkeypatch.setattr("bench.runner.progress.time.monotonic", lambda: now[0])
    reporter = Reporter(1, stream)
    with reporter.live():
        cell = reporter.begin("a")
        for second in range(40):
            now[0] = float(second)
            cell.detail(f"step {second}")
        cell.finish("ok")
    assert stream.getvalue().splitlines() == ["a: step 16", "a: step 32", "[1/1] a: ok"]


def test_a_real_terminal_shows_what_runs_and_keeps_the_finished_lines(tmp_path):
    program = f"from tests.bench.runner.plain_cells import sweep; sweep({str(tmp_path)!r}, 6, seconds=0.5)"
    main, terminal = pty.openpty()
    environment = os.environ | {"COLUMNS": "80", "LINES": "24", "TERM": "xterm"}
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stderr=terminal, env=environment) as process:
        os.close(terminal)
        shown = b""
        while True:
            try:
                part = os.read(main, 4096)
            except OSError:  # the terminal is closed
                break
            if not part:
                break
            shown += part
    os.close(main)
    assert process.returncode == 0
    text = shown.decode()
    assert "6/6] calls t m" in text
    assert "2 running" in text
    assert "counting" in text
