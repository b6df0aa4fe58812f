"""Recorded histories of a GPU's allocator: recording one, and replaying it without a GPU, address by address."""

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import click
import torch
from pydantic import BaseModel, Field

from bench.cli import MODEL, TASK
from bench.cli.parameters import BATCH
from bench.memory.allocator import CachingAllocator
from bench.memory.cuda import claim_cuda
from bench.memory.options import image_size_option
from bench.memory.real_step import release, train
from bench.memory.recorded import follow, recorded_segments
from bench.memory.steps import take
from bench.records import MemorySpec
from bench.tasks import TASKS

MOST_EVENTS = 1_000_000
STATISTICS = {
    "requested": "requested_bytes.all.current",
    "allocated": "allocated_bytes.all.current",
    "reserved": "reserved_bytes.all.current",
    "segments": "segment.all.current",
    "peak_requested": "requested_bytes.all.peak",
    "peak_allocated": "allocated_bytes.all.peak",
    "peak_reserved": "reserved_bytes.all.peak",
    "inactive_split": "inactive_split_bytes.all.current",
}
"""Ours by torch's names."""


class History(BaseModel):
    """What an allocator did from its first allocation on, as torch's memory history tells it.

    Stored as gzipped JSON: torch's own files are pickles, which run code when they are read.
    """

    device: str
    torch: str
    what: str = Field(description="what was run")
    events: tuple[tuple[str, int, int], ...] = Field(description="(action, address, bytes), of one stream")
    blocks: tuple[tuple[int, int, bool], ...] = Field(description="(address, bytes, in use) at the end, by address")
    statistics: dict[str, int] = Field(description="at the end, by our names")

    def save(self, path: Path) -> None:
        """Write it."""
        path.write_bytes(gzip.compress(self.model_dump_json().encode(), mtime=0))

    @classmethod
    def load(cls, path: Path) -> "History":
        """Read it.

        Raises:
            ValueError: if the file is none.
        """
        return cls.model_validate_json(gzip.decompress(path.read_bytes()))


def replay_history(history: History) -> CachingAllocator:
    """Repeat the recorded requests; every block must get its recorded address.

    Raises:
        ReplayError: at the first decision that differs.
    """
    allocator = CachingAllocator(place_segment=recorded_segments(history.events))
    follow(allocator, history.events)
    return allocator


@click.command("record")
@click.option("--task", type=TASK, default="deblur", show_default=True)
@click.option("--model", type=MODEL, default="luser-sw", show_default=True)
@click.option("--policy", type=click.Choice(["paper", "recompute"]), default="paper", show_default=True)
@click.option("--batch", type=BATCH, default=2, show_default=True)
@image_size_option
@click.option("--device", default="cuda", show_default=True, help="cuda, cuda:1, ...")
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
def record(
    task: str,
    model: str,
    policy: Literal["paper", "recompute"],
    batch: int,
    image_shape: tuple[int, int] | None,
    device: str,
    path: Path,
) -> None:
    """Record the decisions of a GPU's allocator in three training steps, into PATH (.json.gz).

    Put the file into tests/bench/memory/histories: tests replay every file there and compare statistics and the
    address of every block, to the byte. Needs a CUDA device.
    """
    place = claim_cuda(device, "a history is recorded on")
    shape = image_shape or TASKS[task].image_shape
    spec = MemorySpec(task=task, model=model, image_shape=shape, policy=policy, cap_bytes=0, backend="cuda")
    history = record_history(spec, batch, place)
    history.save(path)
    click.echo(f"stored {path}: {len(history.events)} events, {path.stat().st_size / 1024:.0f} KiB")


def record_history(spec: MemorySpec, batch: int, device: torch.device) -> History:
    """Record the allocator's decisions in three training steps, from this process's first allocation on.

    Args:
        spec: what trains; its cap does not matter.
        batch: images per step.
        device: a CUDA device, on which this process has allocated nothing.
    """
    take(device)
    torch.cuda.memory._record_memory_history("all", context=None, max_entries=MOST_EVENTS)
    train(spec, batch, device, reset_peaks=False)  # a replay begins with the first allocation, and so do its peaks
    release(device)
    height, width = spec.image_shape
    history = _history(device, f"{spec.task} {spec.model} {spec.policy} batch {batch} {height}x{width}")
    torch.cuda.memory._record_memory_history(None)
    return history


def _history(device: torch.device, what: str) -> History:
    snapshot: dict[str, Any] = torch.cuda.memory._snapshot()
    index = torch.cuda.current_device() if device.index is None else device.index
    traces = snapshot["device_traces"][index]
    statistics = torch.cuda.memory_stats(device)
    return History(
        device=torch.cuda.get_device_name(device),
        torch=torch.__version__,
        what=what,
        events=history_events(traces),
        blocks=history_blocks(snapshot["segments"]),
        statistics={ours: int(statistics[theirs]) for ours, theirs in STATISTICS.items()},
    )


def history_events(trace: Sequence[dict[str, Any]]) -> tuple[tuple[str, int, int], ...]:
    """Return what a replay needs of one device's trace in ``torch.cuda.memory._snapshot()``."""
    kept = ("alloc", "free_completed", "segment_alloc", "segment_free")
    return tuple((entry["action"], entry["addr"], entry["size"]) for entry in trace if entry["action"] in kept)


def history_blocks(segments: Sequence[dict[str, Any]]) -> tuple[tuple[int, int, bool], ...]:
    """Return (address, bytes, in use) of every block in a snapshot's segments, by address."""
    blocks = []
    for segment in segments:
        address = segment["address"]
        for block in segment["blocks"]:
            blocks.append((address, block["size"], block["state"] != "inactive"))
            address += block["size"]
    return tuple(sorted(blocks))


def replayed_blocks(allocator: CachingAllocator) -> tuple[tuple[int, int, bool], ...]:
    """Return the same of a replay."""
    return tuple(sorted((block.address, block.size, not block.free) for block in allocator.blocks()))
