"""Models that take down what runs them: each ends as one record."""

import os
import sys
import time

import torch

from tests.bench.brightness import Brightness


class Aborts(Brightness):
    """Dies in the middle of a step, as a library's assertion does."""

    def forward(self, y, operator):
        os.abort()


class Leaves(Brightness):
    """Ends the interpreter."""

    def forward(self, y, operator):
        sys.exit(0)


class Hangs(Brightness):
    """Never answers."""

    def forward(self, y, operator):
        while True:
            time.sleep(1)


class TakesAll(Brightness):
    """Wants more memory than there is."""

    def forward(self, y, operator):
        torch.ones(2**40)
        return super().forward(y, operator)


class MakesNan(Brightness):
    """Reconstructs no finite image, from the first step on."""

    def forward(self, y, operator):
        return super().forward(y * torch.nan, operator)


class Refuses(Brightness):
    """Is not written for this task."""

    def forward(self, y, operator):
        raise NotImplementedError("no images with three channels")
