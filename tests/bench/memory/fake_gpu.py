"""A GPU that isn't there: what torch and NVML would say of it, for the memory probes."""

import os
from types import SimpleNamespace

import pynvml
import torch

from bench.memory import nvml, steps
from bench.records import MIB

NEIGHBOUR_PID = os.getpid() + 1


class FakeGpu:
    """A device on which this process trains; bytes.

    Attributes:
        context: held beside the allocator by a process that has trained; before that it is ``bare`` once it exists.
        others: of every other process, by its number.
        listing: this process's number in NVML's list, None to leave it out; an error is raised in its place.
        tells_used: whether NVML knows the device's memory in use.
        reserved: by the allocator, at the end of the steps.
        peak_reserved: by the allocator, at the most.
    """

    total = 80_000 * MIB
    driver = 500 * MIB
    bare = 300 * MIB

    def __init__(self, monkeypatch):
        self.context, self.others, self.listing = 700 * MIB, {}, os.getpid()
        self.tells_used = True
        self.reserved, self.peak_reserved, self.fraction = 2_000 * MIB, 3_000 * MIB, None
        self.held = 0
        self._be_torch(monkeypatch)
        self._be_nvml(monkeypatch)

    @property
    def used(self):
        return self.driver + sum(self.others.values()) + self.held

    def begin(self, *_):
        self.held = max(self.held, self.bare)

    def train(self, *_, **__):
        self.begin()
        self.held = self.context + self.reserved

    def _be_torch(self, monkeypatch):
        def mem_get_info(_):
            self.begin()
            return self.total - self.used, self.total

        def numbered(device):
            if torch.device(device).index is None:
                raise ValueError(f"Expected a torch.device with a specified index or an integer, but got:{device}")

        def set_device(device):
            numbered(device)
            self.begin()

        def set_fraction(fraction, device):
            numbered(device)
            self.fraction = fraction

        properties = SimpleNamespace(pci_domain_id=0, pci_bus_id=1, pci_device_id=0, total_memory=self.total)
        statistics = {"requested_bytes.all.peak": 1, "num_alloc_retries": 0}
        monkeypatch.setattr(steps, "train", self.train)
        for name, answer in {
            "set_device": set_device,
            "mem_get_info": mem_get_info,
            "set_per_process_memory_fraction": set_fraction,
            "get_device_properties": lambda _: properties,
            "memory_reserved": lambda _: self.reserved,
            "max_memory_reserved": lambda _: self.peak_reserved,
            "max_memory_allocated": lambda _: self.peak_reserved,
            "memory_stats": lambda _: statistics,
        }.items():
            monkeypatch.setattr(f"torch.cuda.{name}", answer)

    def _be_nvml(self, monkeypatch):
        def processes(_):
            if isinstance(self.listing, Exception):
                raise self.listing
            known = self.others | ({self.listing: self.held} if self.listing and self.held else {})
            return [SimpleNamespace(pid=pid, usedGpuMemory=size) for pid, size in known.items()]

        def memory(_):
            if not self.tells_used:
                raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
            return SimpleNamespace(used=self.used)

        for name, answer in {
            "nvmlInit": lambda: None,
            "nvmlShutdown": lambda: None,
            "nvmlDeviceGetHandleByPciBusId": lambda _: None,
            "nvmlDeviceGetComputeRunningProcesses": processes,
            "nvmlDeviceGetMemoryInfo": memory,
        }.items():
            monkeypatch.setattr(nvml.pynvml, name, answer)
