"""The remaining time, and the exception when there is none."""

import time
from collections.abc import Callable

Clock = Callable[[], float]


class OutOfTime(BaseException):
    """The time is over. This is no failure: code that records failures lets it pass."""


class Budget:
    """Seconds that may be spent from now on.

    Args:
        limit_s: their number.
        clock: tells the time in seconds.
    """

    def __init__(self, limit_s: float, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + limit_s

    @property
    def left_s(self) -> float:
        """Seconds that are left, 0 where there are none."""
        return max(self._end - self._clock(), 0.0)

    def need(self, seconds: float) -> None:
        """Continue only if this many seconds are left.

        Raises:
            OutOfTime: if not.
        """
        if self.left_s < seconds:
            raise OutOfTime(f"{self.left_s:.0f} s are left, {seconds:.0f} s would be needed")
