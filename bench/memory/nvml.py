"""Facts from NVML that the allocator lacks: a process's whole memory, and other processes on the GPU."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
import pynvml
import torch

from bench.memory.claims import belongs_to, claims_of

POLL_S = 5.0
UNANSWERED = (pynvml.NVMLError_NotSupported, pynvml.NVMLError_FunctionNotFound)
"""What NVML says where a card, a driver or a container does not let it answer a question."""


@contextmanager
def handle_of(device: torch.device) -> Iterator[Any]:
    """Open NVML's handle of a CUDA device.

    Raises:
        click.ClickException: if the driver's library is missing or does not know the device.
    """
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise click.ClickException(f"NVML cannot be used: {error}; is the NVIDIA driver installed?") from error
    try:
        yield _handle(device)
    except pynvml.NVMLError as error:
        raise click.ClickException(f"NVML does not answer for {device}: {error}") from error
    finally:
        pynvml.nvmlShutdown()


def _handle(device: torch.device) -> Any:
    properties: Any = torch.cuda.get_device_properties(device)  # the stubs lack the PCI fields
    try:
        bus = f"{properties.pci_domain_id:08x}:{properties.pci_bus_id:02x}:{properties.pci_device_id:02x}.0"
    except AttributeError:  # some builds lack them, too
        return pynvml.nvmlDeviceGetHandleByIndex(torch.cuda._get_nvml_device_index(device))
    return pynvml.nvmlDeviceGetHandleByPciBusId(bus)


def running_processes(device: torch.device) -> list[Any]:
    """Return NVML's entry of every process that computes on the device; none where it cannot tell."""
    with handle_of(device) as handle:
        try:
            return list(pynvml.nvmlDeviceGetComputeRunningProcesses(handle))
        except UNANSWERED:
            return []


def listed_processes(device: torch.device) -> list[Any]:
    """Return the same; none without a usable NVML."""
    try:
        return running_processes(device)
    except click.ClickException:
        return []


def used_bytes(device: torch.device) -> int | None:
    """Return the device's memory in use by all processes; None where NVML can't tell, or cannot be used at all."""
    try:
        with handle_of(device) as handle:
            return int(pynvml.nvmlDeviceGetMemoryInfo(handle).used)
    except click.ClickException:
        return None


def process_bytes(device: torch.device) -> int | None:
    """Return what this process holds on the device, context included; None where NVML can't tell or be used.

    In a container NVML may show other process numbers than the process has; where it shows a single process
    beside nobody else's, that is the one.
    """
    processes = listed_processes(device)
    mine = [process for process in processes if process.pid == os.getpid()] or processes
    return int(mine[0].usedGpuMemory or 0) or None if len(mine) == 1 else None


def tells_processes(device: torch.device) -> bool:
    """Whether NVML knows this process by its number and says what it holds; it has a context on the device."""
    return any(process.pid == os.getpid() and process.usedGpuMemory for process in listed_processes(device))


def other_processes(device: torch.device, holders: dict[int, int] | None = None) -> list[str]:
    """Return 'process 123 with 2.0 GiB' of everybody else on the device.

    Args:
        device: a CUDA device.
        holders: commands of this benchmark that hold a part of the card, by process number: where NVML tells what a
            process of theirs has, that process distorts nothing.
    """
    return [
        f"process {process.pid} with {(process.usedGpuMemory or 0) / 2**30:.1f} GiB"
        for process in running_processes(device)
        if process.pid != os.getpid() and not (process.usedGpuMemory and belongs_to(process.pid, holders or {}))
    ]


@contextmanager
def shared_gpu(device: torch.device, cap_bytes: int, wait_s: int) -> Iterator[None]:
    """Hold a part of a card: commands whose caps fit on it side by side share it, nobody else.

    Args:
        device: a CUDA device.
        cap_bytes: the largest cap that is proved.
        wait_s: seconds to wait at most.

    Raises:
        click.ClickException: if others hold too much of it, or a process without a claim uses it.
    """
    with handle_of(device) as handle:
        card = str(pynvml.nvmlDeviceGetUUID(handle))
    claims = claims_of(card, torch.cuda.get_device_properties(device).total_memory)

    def told(text: str) -> None:
        click.echo(f"{device}: {text}; waiting", err=True)

    try:
        with claims.hold(cap_bytes, wait_s=wait_s, told=told):
            claim_gpu(device, wait_s, claims.holders())
            yield
    except TimeoutError as error:
        raise click.ClickException(f"{device}: {error}; --wait SECONDS waits") from error


def claim_gpu(device: torch.device, wait_s: int, holders: dict[int, int] | None = None) -> None:
    """Wait until no other process uses the device, since it would distort measurements.

    Args:
        device: a CUDA device.
        wait_s: seconds to wait at most.
        holders: as of ``other_processes``.

    Raises:
        click.ClickException: if another process still does.
    """
    end = time.monotonic() + wait_s
    while others := other_processes(device, holders):
        if time.monotonic() >= end:
            raise click.ClickException(
                f"{device} is in use by {', '.join(others)}; --wait SECONDS waits, --backend simulate needs no GPU"
            )
        click.echo(f"{device} is in use by {', '.join(others)}; waiting", err=True)
        time.sleep(min(POLL_S, max(end - time.monotonic(), 0)))
