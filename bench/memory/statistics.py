"""The caching allocator's statistics."""

from dataclasses import dataclass


@dataclass(slots=True)
class Statistics:
    """What ``torch.cuda.memory_stats`` calls by the same names, in bytes unless said otherwise.

    One stream only: what is allocated is active, and nothing waits for another stream.

    Attributes:
        requested: what was asked for.
        allocated: blocks in use, rounding and unsplit remainders included; torch's "active" is the same here.
        reserved: segments held.
        segments: how many segments are held.
        peak_requested: most that was asked for at once.
        peak_allocated: most that was in use at once.
        peak_reserved: most that was held at once.
        inactive_split: free pieces of segments that are partly in use: fragmentation, which no retry releases.
        retries: how often all unused segments were released to make room.
    """

    requested: int = 0
    allocated: int = 0
    reserved: int = 0
    segments: int = 0
    peak_requested: int = 0
    peak_allocated: int = 0
    peak_reserved: int = 0
    inactive_split: int = 0
    retries: int = 0
