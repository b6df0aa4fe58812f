"""How cells are run: nothing here changes an answer."""

from dataclasses import dataclass, field

STALL_S = 3600.0


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a cell in a process of its own may take.

    Attributes:
        time_s: seconds of one attempt; None for any number.
        stall_s: seconds without a word on its progress.
        memory_bytes: of the process's own data, on Linux; None for any number.
    """

    time_s: float | None = None
    stall_s: float = STALL_S
    memory_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class Running:
    """How cells are run; nothing here changes an answer.

    Attributes:
        force: repeat cells that are stored.
        jobs: cells answered at once; simulated ones take every core in any case.
        limits: of a cell in a process of its own.
        apart: whether cells that may be answered in a process of their own are.
    """

    force: bool = False
    jobs: int = 1
    limits: Limits = field(default_factory=Limits)
    apart: bool = True
