"""Part 4: the GPU allocator's decisions in three training steps, compared with our simulator's."""

from typing import Any

from bench.gpu.site import Work
from bench.memory.allocator import OutOfMemoryError
from bench.memory.recorded import ReplayError
from bench.memory.snapshot import History, record_history, replay_history, replayed_blocks

BATCH = 2
HISTORY_S = 4.0


def record(work: Work) -> None:
    """Measure the figures of part 4."""
    if work.site.rehearse:
        work.once("skipped", lambda: "a CPU has no allocator of this kind")
        return
    model, policy = work.site.proved[0]
    spec = work.site.specs(model, policy, work.site.tasks[0])[0]
    work.once("history", lambda: _recorded(work, spec), HISTORY_S)


def _recorded(work: Work, spec: Any) -> dict[str, Any]:
    history = record_history(spec, BATCH, work.device)
    folder = work.site.folder / "histories"
    folder.mkdir(parents=True, exist_ok=True)
    words = "-".join((history.device.removeprefix("NVIDIA "), history.torch, history.what)).lower()
    path = folder / ("".join(letter if letter.isalnum() or letter == "." else "-" for letter in words) + ".json.gz")
    history.save(path)
    return {
        "file": path.name,
        "events": len(history.events),
        "reserved_bytes": history.statistics["reserved"],
        "difference": difference(history),
    }


def difference(history: History) -> str:
    """Describe where a replay differs from the recording; empty where it does not."""
    try:
        allocator = replay_history(history)
    except (ReplayError, OutOfMemoryError, KeyError, AssertionError) as error:
        return f"{type(error).__name__}: {error}"
    if replayed_blocks(allocator) != history.blocks:
        return "blocks lie elsewhere"
    figures = allocator.statistics()
    other = [name for name, value in history.statistics.items() if getattr(figures, name) != value]
    return f"statistics differ: {', '.join(other)}" if other else ""
