"""Records a training step's storages for a trace: phase, layer, and calls with hidden memory."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from bench.memory.convolutions import CONVOLUTIONS, NOTHING, Bounds, Workspaces, parts_of, pinned
from bench.memory.fakes import QuickFakeTensorMode
from bench.memory.layers import Layers
from bench.memory.rules import CUBLAS, CUBLAS_WORKSPACE, HANDLE, bounds
from bench.memory.storage import StorageRecorder

OUTSIDE = "outside layers"
"""Layer of what no layer computes: data consistency, the solver's history, the loss."""

TORCHS_WRAPPERS = {"inner", "_fn"}
"""Functions that some versions of torch put around a dispatch mode."""


@dataclass(frozen=True)
class Note:
    """What is known of a storage besides its size.

    Attributes:
        phase: ``setup``, ``forward``, ``backward`` or ``optimiser``.
        layer: name of the module that computes, or a section such as ``weights``.
        operation: the call that takes it besides its results; "" for a result.
        arguments: that call's arguments, tensors as ``{dtype: shape}``.
        taken: bounds of what such a call takes; the recorded size is the upper one.
    """

    phase: str
    layer: str
    operation: str = ""
    arguments: Sequence[Any] = ()
    taken: Bounds = NOTHING


class StepRecorder(StorageRecorder):
    """A ``StorageRecorder`` for training steps on fake tensors.

    Attributes:
        notes: one per storage, in order of allocation.
        section: name of what is being set up, for storages that no layer computes; "" during a step.

    Args:
        fakes: the mode that makes the fake tensors; active below the recorder.
        workspaces: tells what cuDNN takes inside a convolution.
    """

    def __init__(self, fakes: QuickFakeTensorMode, workspaces: Workspaces = pinned) -> None:
        super().__init__()
        self._fakes = fakes
        self._workspaces = workspaces
        self.notes: list[Note] = []
        self.section = ""
        self._phase = "setup"
        self._layers = Layers(learnt=self._label)
        self._labels: dict[int, str] = {}  # of the storages that are alive
        self._sums: dict[int, int] = {}  # gradient accumulations: result, first operand
        self._handles: set[str] = set()
        self._reading: tuple[Any, ...] = ()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Follow the layers of every model and the phase of every optimiser until the context ends."""
        with ExitStack() as stack:
            for handle in (
                register_module_forward_pre_hook(self._layers.enter),
                register_module_forward_hook(self._layers.leave, always_call=True),
                register_optimizer_step_pre_hook(lambda *_: self._enter("optimiser")),
                register_optimizer_step_post_hook(lambda *_: self._enter("forward")),
            ):
                stack.callback(handle.remove)
            self._enter("forward")
            yield

    def _label(self, model: nn.Module) -> None:
        for name, parameter in model.named_parameters():
            if layer := name.rpartition(".")[0]:
                self._labels[parameter.untyped_storage()._cdata] = layer

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation; record its results and what it takes besides them."""
        if func is torch.ops.prim.device.default and isinstance(args[0], FakeTensor):
            return args[0].fake_device  # asked for more often than everything else together
        if self._phase == "forward" and torch._C._current_graph_task_id() != -1:
            self._enter("backward")
        first, start, self._reading = len(self.sizes), len(self.events), args
        result = super().__torch_dispatch__(func, types, args, kwargs)
        if len(self.sizes) > first and func is torch.ops.aten.add.Tensor and _called_by_autograd():
            self._note_sum(first, args[0])
        self._reading = ()
        if func in CONVOLUTIONS:
            self._convolution(func, args, result, start)
        elif (taken := bounds(func, args, result)) is not None:
            self._hidden(str(func), _specs(args), taken)
        elif getattr(func, "overloadpacket", None) in CUBLAS and self._phase not in self._handles:
            self._handles.add(self._phase)  # autograd's thread has a handle of its own
            self._hidden(HANDLE, (), CUBLAS_WORKSPACE, stays=True)
        return result

    def _run(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = self._fakes.known(func, args, kwargs)
        return func(*args, **kwargs) if result is NotImplemented else result

    def finished_events(self) -> list[tuple[int, bool]]:
        """Return the events so far, with gradients accumulated in place.

        Under a dispatch mode autograd adds two gradients into a new tensor and releases both. Without one it adds to
        the first, if nothing else refers to it: that one is then released right after the sum's allocation. Releases
        between two allocations are sorted by allocation: what remains is the same in any order, and autocast's cache
        has no order.
        """
        events: list[tuple[int, bool]] = []
        aliases: dict[int, int] = {}
        dropped: set[int] = set()
        for index, (number, birth) in enumerate(self.events):
            first = self._sums.get(number) if birth else None
            if first is not None and self._dies_next(first, index):
                aliases[number] = aliases.get(first, first)
                dropped.add(first)
            elif birth or number not in dropped:
                events.append((aliases.get(number, number), birth))
        runs = groupby(events, key=lambda event: event[1])
        return [event for birth, run in runs for event in (run if birth else sorted(run))]

    def _dies_next(self, number: int, index: int) -> bool:
        following = index + 1
        while following < len(self.events) and not self.events[following][1]:
            if self.events[following][0] == number:
                return True
            following += 1
        return False

    def _enter(self, phase: str) -> None:
        self._phase = phase

    def _note(self, storage: torch.UntypedStorage) -> None:
        before = len(self.sizes)
        super()._note(storage)
        if len(self.sizes) > before:
            layer = self._layer()
            if not self.section:
                self._labels[storage._cdata] = layer
            self.notes.append(Note(self._phase, layer))

    def _died(self, key: int, number: int) -> None:
        self._labels.pop(key, None)
        super()._died(key, number)

    def _layer(self) -> str:
        if self.section or self._phase == "optimiser":
            return self.section or "optimiser"
        current = self._layers.current
        if self._phase != "backward":
            return current or OUTSIDE
        # Autograd runs no module, and a rebuilt stage runs only some of its modules: the layer is then the one whose
        # weight or activation is read.
        within = f"{current}." if current else ""
        for argument in reversed(self._reading):
            if isinstance(argument, Tensor):
                name = self._labels.get(argument.untyped_storage()._cdata, OUTSIDE)
                if name != OUTSIDE and name.startswith(within):
                    return name
        return current or OUTSIDE

    def _note_sum(self, number: int, operand: Tensor) -> None:
        first = self._alive.get(operand.untyped_storage()._cdata)
        if first is not None and self.sizes[first] == self.sizes[number]:
            self._sums[number] = first

    def _convolution(self, func: Any, args: Sequence[Any], result: Any, start: int) -> None:
        """Record what cuDNN takes for each result, right after that result's allocation and before the next."""
        for part, arguments in parts_of(func, args, result):
            born = result if not part.gradient else result[0 if part.gradient == "images" else 1]
            number = self._alive[born.untyped_storage()._cdata]
            place = self.events.index((number, True), start) + 1
            self._hidden(str(func), _specs(arguments), self._workspaces(part), place)

    def _hidden(
        self, operation: str, arguments: Sequence[Any], taken: Bounds, place: int | None = None, *, stays: bool = False
    ) -> None:
        """Record what a call takes, at a place among the events, by default the last."""
        number = len(self.sizes)
        self.sizes.append(taken.high)
        self.notes.append(Note(self._phase, "workspaces", operation, arguments, taken))
        place = len(self.events) if place is None else place
        self.events[place:place] = [(number, True)] if stays else [(number, True), (number, False)]


@contextmanager
def section(name: str) -> Iterator[None]:
    """Tell the active recorder what is being set up; storages within the context belong to no layer."""
    recorder = next(
        (mode for mode in reversed(_get_current_dispatch_mode_stack()) if isinstance(mode, StepRecorder)), None
    )
    if recorder is None:
        yield
        return
    before, recorder.section = recorder.section, name
    try:
        yield
    finally:
        recorder.section = before


def _called_by_autograd() -> bool:
    """Whether the caller is the engine itself, between two nodes of the graph, and no node's Python code."""
    caller = sys._getframe(2)
    while caller.f_code.co_name in TORCHS_WRAPPERS and caller.f_back is not None:
        caller = caller.f_back
    return caller.f_code.co_name == "_engine_run_backward"


def _specs(arguments: Sequence[Any]) -> list[Any]:
    """Return arguments in terms of JSON."""
    return [
        {str(argument.dtype).removeprefix("torch."): list(argument.shape)}
        if isinstance(argument, Tensor)
        else list(argument)
        if isinstance(argument, list | tuple)
        else argument
        for argument in arguments
    ]
