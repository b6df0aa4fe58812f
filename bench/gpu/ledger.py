"""A part's results so far: one line of JSON per figure, so that an interrupted part resumes."""

import json
import os
import threading
from pathlib import Path
from typing import Any


class Ledger:
    """Figures and failures by name, each in the file as soon as it is known.

    Args:
        path: the file; its entries count already, except a last line that is incomplete.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.figures: dict[str, Any] = {}
        self.failures: dict[str, str] = {}
        self._writing = threading.Lock()
        content = path.read_text(encoding="utf-8") if path.exists() else ""
        for line in content.splitlines():
            try:
                self._take(json.loads(line))
            except ValueError:
                continue  # incomplete: the process was killed while it wrote
        if content and not content.endswith("\n"):
            self._append("\n")

    def put(self, name: str, figure: Any) -> None:
        """Store a figure, which JSON must be able to hold; it replaces an earlier failure of that name."""
        self._write({"name": name, "figure": figure})

    def fail(self, name: str, error: str) -> None:
        """Store the reason why a figure is missing."""
        self._write({"name": name, "error": error})

    def _write(self, entry: dict[str, Any]) -> None:
        with self._writing:
            self._take(entry)
            self._append(json.dumps(entry) + "\n")

    def _take(self, entry: dict[str, Any]) -> None:
        name = entry["name"]
        if "error" in entry:
            self.failures[name] = entry["error"]
        else:
            self.figures[name] = entry["figure"]
            self.failures.pop(name, None)

    def _append(self, text: str) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
