"""A lock per GPU that counts caps: capped proofs of several commands share a card as long as their caps fit on it."""

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

POLL_S = 2.0


class Claims:
    """The memory that running commands have claimed of one card, in a file that they share.

    Args:
        path: the file; one per card.
        total_bytes: of the card.
    """

    def __init__(self, path: Path, total_bytes: int) -> None:
        self.path, self.total_bytes = path, total_bytes

    @contextmanager
    def hold(
        self, size_bytes: int, *, wait_s: float = 0, told: Callable[[str], None] = lambda text: None
    ) -> Iterator[None]:
        """Hold so many bytes of the card for as long as the block runs.

        Args:
            size_bytes: the cap; the whole card where it is more.
            wait_s: seconds to wait at most until others give back what is missing.
            told: called with one line when there is something to wait for.

        Raises:
            TimeoutError: if others still hold too much; the message names them.
        """
        size_bytes, end = min(size_bytes, self.total_bytes), time.monotonic() + wait_s
        while (problem := self._take(size_bytes)) is not None:
            if time.monotonic() >= end:
                raise TimeoutError(problem)
            told(problem)
            time.sleep(min(POLL_S, max(end - time.monotonic(), 0)))
        try:
            yield
        finally:
            with self._locked() as held:
                held.pop(str(os.getpid()), None)

    def holders(self) -> dict[int, int]:
        """Return the bytes that each running command holds, by its process number."""
        with self._locked() as held:
            return {int(process): size for process, size in held.items()}

    def _take(self, size_bytes: int) -> str | None:
        """Take so many bytes, or say who holds too much."""
        with self._locked() as held:
            others = {process: size for process, size in held.items() if process != str(os.getpid())}
            if sum(others.values()) + size_bytes > self.total_bytes:
                names = ", ".join(f"process {process} holds {size / 2**30:g} GiB" for process, size in others.items())
                return f"{names} of {self.total_bytes / 2**30:.1f} GiB, and {size_bytes / 2**30:g} GiB are asked for"
            held[str(os.getpid())] = size_bytes
            return None

    @contextmanager
    def _locked(self) -> Iterator[dict[str, int]]:
        """Give the claims of running processes, and store what became of them."""
        import fcntl

        with self.path.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            held = {}
            with suppress(ValueError):  # a writer was killed halfway
                held = {process: size for process, size in json.loads(file.read()).items() if is_running(int(process))}
            yield held
            file.truncate(0)
            file.write(json.dumps(held))
            file.flush()


def claims_of(card: str, total_bytes: int) -> Claims:
    """Return the claims on a card of this machine.

    Args:
        card: its UUID, as NVML tells it.
        total_bytes: its memory.
    """
    folder = Path(tempfile.gettempdir()) / f"reconstruction-benchmark-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return Claims(folder / f"{card}.json", total_bytes)


def is_running(process: int) -> bool:
    """Whether there is a process of this number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def belongs_to(process: int, holders: dict[int, int]) -> bool:
    """Whether a process is one of the holders, or was started by one of them, on Linux."""
    while process > 1:
        if process in holders:
            return True
        try:
            process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            return False
    return False
