"""Runs the parts one after another, each in its own process, and archives each part's results."""

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from tarfile import TarError
from typing import Any

import click
import torch

from bench.gpu.archive import pack, unpack
from bench.gpu.budget import Budget, OutOfTime
from bench.gpu.ledger import Ledger
from bench.gpu.plan import PARTS, Part, files_of, stem
from bench.gpu.site import Site, Work
from bench.records.environment import device_name, pick_device
from bench.records.files import write_atomically
from bench.runner.forked import ForkServer, end

GRACE_S = 4.0
"""The time in which a part stops by itself once its limit is reached."""
PACKING_S = 3.0
LEAST_S = 5.0
"""The least time with which a part begins."""
LAST_LINES = 30
PLACE = "place"
"""Name of the figure that says where the others were measured."""
MOST_LOG_BYTES = 2**20


class Ending(str, Enum):
    """How a part ended."""

    FINISHED = "finished"
    UNFINISHED = "unfinished"
    FAILED = "failed"


Launch = Callable[[Part, float], Ending]
"""Runs a part for at most this many seconds."""


def run_parts(
    site: Site, budget: Budget, launch: Launch, *, ready: Callable[[Budget], None] = lambda budget: None
) -> dict[str, Ending]:
    """Run every unfinished part within its share of the time; then resume interrupted parts in the remaining time.

    Args:
        site: where.
        budget: the time of all parts.
        launch: runs one.
        ready: waits for the preparation that runs meanwhile.

    Returns:
        Part's name -> how it ended; parts without time are missing.
    """
    endings: dict[str, Ending] = {}
    *shared, last = PARTS
    for parts, shares in ((shared, True), (shared, False), ([last], False)):
        for part in parts:
            if endings.get(part.name, Ending.UNFINISHED) is not Ending.UNFINISHED:
                continue
            if archive_of(part, site).exists():
                click.echo(f"{stem(part)}: skipped, its archive exists")
                endings[part.name] = Ending.FINISHED
                continue
            if part.waits:
                ready(budget)
            limit = min(part.limit_s if shares else float("inf"), budget.left_s - GRACE_S - PACKING_S)
            if limit >= LEAST_S:
                endings[part.name] = _run(part, site, limit, launch)
    return endings


def _run(part: Part, site: Site, limit_s: float, launch: Launch) -> Ending:
    click.echo(f"{stem(part)}: {part.about}; {limit_s:.0f} s at most")
    started = time.monotonic()
    ending = launch(part, limit_s)
    ledger = Ledger(ledger_of(part, site))
    if ending is Ending.FINISHED and ledger.failures:
        ending = Ending.FAILED
    archive = store_findings(part, site, ending, time.monotonic() - started)
    click.echo(f"{stem(part)}: {ending.value} after {time.monotonic() - started:.0f} s, {archive.name}")
    return ending


def store_findings(part: Part, site: Site, ending: Ending, seconds: float) -> Path:
    """Write a part's figures as JSON, and its archive in place of earlier ones.

    Args:
        part: which.
        site: where.
        ending: how it ended; only the archive of a finished part has the plain name.
        seconds: duration of this attempt.

    Returns:
        The archive.
    """
    ledger, log = Ledger(ledger_of(part, site)), log_of(part, site)
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    findings: dict[str, Any] = {
        "part": part.name,
        "ending": ending.value,
        "rehearsal": site.rehearse,
        "estimate_s": part.estimate_s(site),
        "seconds": round(seconds, 1),
        "figures": ledger.figures,
        "failures": ledger.failures,
        "error": lines[-LAST_LINES:] if ending is Ending.FAILED else [],
    }
    figures = site.folder / f"{stem(part)}.json"
    write_atomically(figures, (json.dumps(findings, indent=1) + "\n").encode())
    log.touch()
    if log.stat().st_size > MOST_LOG_BYTES:
        write_atomically(log, log.read_bytes()[-MOST_LOG_BYTES:])
    ledger.path.parent.mkdir(exist_ok=True)
    ledger.path.touch()
    archive = archive_of(part, site, ending)
    files = [figures, log, ledger.path, *files_of(part, site)]
    for name in pack(archive, site.folder, files):
        click.echo(f"{stem(part)}: {name} is too large for the archive; it stays in {site.folder}")
    others = [archive_of(part, site, other) for other in Ending if other is not ending]
    if site.archives is not None:
        site.archives.mkdir(parents=True, exist_ok=True)
        write_atomically(site.archives / archive.name, archive.read_bytes())
        others += [site.archives / other.name for other in others]
    for other in others:
        other.unlink(missing_ok=True)
    return archive


def archive_of(part: Part, site: Site, ending: Ending = Ending.FINISHED) -> Path:
    """Return the file of a part's archive."""
    mark = "" if ending is Ending.FINISHED else f".{ending.value}"
    return site.folder / f"{stem(part)}{mark}.tar.gz"


def ledger_of(part: Part, site: Site) -> Path:
    """Return the file of a part's figures, in order of measurement."""
    return site.folder / "ledgers" / f"{stem(part)}.jsonl"


def ending_of(part: Part, site: Site) -> Path:
    """Return the file in which a part's process stores its ending."""
    return site.folder / "ledgers" / f"{stem(part)}.ending"


def log_of(part: Part, site: Site) -> Path:
    """Return the file of a part's log."""
    return site.folder / f"{stem(part)}.log"


def take_up(site: Site) -> None:
    """Restore the results of parts interrupted on another machine, from their archives."""
    for part in PARTS:
        for ending in (Ending.UNFINISHED, Ending.FAILED):
            archive = archive_of(part, site, ending)
            if archive.exists() and not ledger_of(part, site).exists():
                try:
                    unpack(archive, site.folder)
                except (OSError, EOFError, TarError) as error:
                    click.echo(f"{archive.name} cannot be read, so the part starts again: {error}", err=True)


def forked_launch(site: Site, server: ForkServer) -> Launch:
    """Return a function that runs a part in a forked process, and ends it at its time limit."""

    def launch(part: Part, limit_s: float) -> Ending:
        ending_of(part, site).unlink(missing_ok=True)
        try:
            process = server.start(run_part, part.name, site, limit_s)
        except (OSError, EOFError) as error:
            log_of(part, site).write_text(f"no process could be forked: {error}\n")
            return Ending.FAILED
        process.join(limit_s + GRACE_S)
        if process.is_alive():
            end(process)
            return Ending.UNFINISHED
        told = ending_of(part, site)  # no exit code: code that starts another process meanwhile may have taken it
        return Ending(told.read_text()) if told.exists() else Ending.FAILED

    return launch


def run_part(name: str, site: Site, limit_s: float) -> None:
    """Run a part in this process, which then exits; output goes into the part's log.

    Args:
        name: of the part.
        site: where.
        limit_s: seconds at most.
    """
    part = next(part for part in PARTS if part.name == name)
    log = os.open(log_of(part, site), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(log, stream)
    try:
        part.run(Work(site, Budget(limit_s), _ledger_here(part, site)))
        ending = Ending.FINISHED
    except (OutOfTime, KeyboardInterrupt) as error:
        click.echo(f"out of time: {error}")
        ending = Ending.UNFINISHED
    except BaseException:
        traceback.print_exc()
        ending = Ending.FAILED
    write_atomically(ending_of(part, site), ending.value.encode())
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # a broken CUDA context cannot delay the next part


def _ledger_here(part: Part, site: Site) -> Ledger:
    """Return a part's ledger; one from another card or another torch is set aside."""
    path, place = ledger_of(part, site), [device_name(pick_device(site.device)), torch.__version__]
    ledger = Ledger(path)
    if ledger.figures.get(PLACE, place) != place:
        click.echo(f"starting again: {path.name} is from {', '.join(ledger.figures[PLACE])}")
        path.replace(path.with_suffix(".elsewhere"))
        ledger = Ledger(path)
    if PLACE not in ledger.figures:
        ledger.put(PLACE, place)
    return ledger


def plan_lines(site: Site, minutes: float) -> Sequence[str]:
    """Return the plan in words: one line per part, with its seconds on an H100."""
    lines = []
    for part in PARTS:
        estimate = part.estimate_s(site)
        done = "  (archived already)" if archive_of(part, site).exists() else ""
        rest = "  the rest" if part is PARTS[-1] else f"{estimate:6.0f} s"
        lines.append(f"{stem(part):14}{rest:>10}  {part.about}{done}")
    total = sum(part.estimate_s(site) for part in PARTS)
    return [*lines, f"{'total':14}{total:6.0f} s   of {60 * minutes:.0f} s; the rest is for training"]
