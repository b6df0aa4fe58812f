"""A part of a command's cells, which a job answers on another machine by running the command again.

What was measured where is part of a record, and a question may depend on the device too (its precision). So a job is
not given finished cells: it runs the same command on its own machine, which makes all cells anew, and answers those
whose places in the list it was given.
"""

import importlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.records.files import write_atomically
from bench.records.store import ResultStore
from bench.runner.running import Running

if TYPE_CHECKING:
    from submitit.core.utils import DelayedSubmission

    from bench.records import Record
    from bench.runner.cell import StudyCell


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some of a command's cells; the command finds it as its context's object.

    Attributes:
        places: of the cells, in the command's order.
        total: how many cells the command has.
        results: folder of the records, absolute: the machines share it.
        since: when the whole was sent; with ``--force``, a younger record is not repeated by another attempt.
        answers: file that tells where the records are, written when all cells are answered.
    """

    places: tuple[int, ...]
    total: int
    results: Path
    since: datetime
    answers: Path

    def answer(
        self, cells: "Sequence[StudyCell]", store: ResultStore, running: Running, *, only_failed: bool = False
    ) -> "list[Record]":
        """Answer the part's cells, and write down which files hold their records.

        Args:
            cells: all of the command's.
            store: where records go.
            running: how.
            only_failed: leave out cells that did not fail before.

        Raises:
            click.ClickException: if this machine makes other cells than the one that sent the part.
        """
        from bench.runner.due import failed_before
        from bench.runner.run import run_cells

        if len(cells) != self.total:
            raise click.ClickException(
                f"the job's machine makes {len(cells)} cells, the machine that sent it {self.total}: "
                "name what differs, e.g. --device"
            )
        own = {place: cells[place] for place in self.places}
        if only_failed:
            own = {place: cell for place, cell in own.items() if failed_before(cell, store)}
        fresh = {place for place, cell in own.items() if running.force and self._is_fresh(cell, store)}
        old = [place for place in own if place not in fresh]
        records = dict(zip(old, run_cells([own[place] for place in old], store, running), strict=True))
        kept = [place for place in own if place in fresh]
        unforced = replace(running, force=False)
        records |= zip(kept, run_cells([own[place] for place in kept], store, unforced), strict=True)
        files = {
            place: str(store.path_of(record.spec, record.provenance).relative_to(store.root))
            for place, record in records.items()
        }
        write_atomically(self.answers, json.dumps({"records": files}).encode())
        return [records[place] for place in own]

    def _is_fresh(self, cell: "StudyCell", store: ResultStore) -> bool:
        record = store.finished(cell.spec, cell.provenance)
        return record is not None and record.provenance.created >= self.since


@dataclass(frozen=True)
class Command:
    """A command as it was given.

    Attributes:
        module: where it is.
        name: of the click command in the module.
        arguments: after the command's name.
    """

    module: str
    name: str
    arguments: tuple[str, ...]

    @classmethod
    def current(cls) -> "Command":
        """Return the command that runs in this process.

        Raises:
            click.ClickException: if it is a file's, not a module's, so that nobody else can start it.
        """
        root = click.get_current_context().find_root().command
        module = sys.modules[root.callback.__module__ if root.callback else "__main__"]
        name = next((name for name, value in vars(module).items() if value is root), None)
        if module.__spec__ is None or name is None:
            raise click.ClickException("--executor: start the command with python -m")
        return cls(module.__spec__.name, name, tuple(sys.argv[1:]))


@dataclass(frozen=True)
class Job:
    """Answers a part of a command; submitit calls it in the job.

    Attributes:
        command: what was given.
        part: of its cells.
    """

    command: Command
    part: Part

    def __call__(self) -> None:
        """Run the command for the part; what it refuses is written down, since another attempt would end likewise."""
        command: click.Command = getattr(importlib.import_module(self.command.module), self.command.name)
        try:
            command.main(args=list(self.command.arguments), standalone_mode=False, obj=self.part)
        except click.ClickException as error:
            message = " ".join(error.format_message().split())
            write_atomically(self.part.answers, json.dumps({"refused": message}).encode())

    def checkpoint(self) -> "DelayedSubmission":
        """Return what submitit runs after a time-out or pre-emption: the same.

        Finished cells are in the store, trainings resume from their checkpoints.
        """
        from submitit.core.utils import DelayedSubmission

        return DelayedSubmission(self)
