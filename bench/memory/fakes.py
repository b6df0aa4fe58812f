"""Fast fake tensors: the result of an operation is cached for the next call."""

import math
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._mode_utils import no_dispatch

from bench.memory.storage import tensors_in

aten = torch.ops.aten
_NEVER = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape, torch.Tag.inplace_view}

_RANGES = {aten.linspace.default, aten.arange.default, aten.arange.start, aten.arange.start_step}
MOST_VALUES = 1024
"""The longest range whose numbers are kept: drop rates of layers, positions of tokens."""


class _Unknown(Exception):
    """An operation's arguments do not determine its results."""


class _Made(NamedTuple):
    """A tensor that an operation returns: a view of the argument at ``viewed``, or a new tensor where that is -1."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int
    dtype: torch.dtype
    viewed: int
    state: dict[str, Any]
    """What torch keeps with a fake tensor besides its shape: its device, its mode and no value."""

    @property
    def device(self) -> torch.device:
        """The device that the fake tensor stands for."""
        device: torch.device = self.state["_fake_device"]
        return device


class QuickFakeTensorMode(FakeTensorMode):
    """A ``FakeTensorMode`` that asks torch once for every operation on tensors of the same shapes.

    Torch's own cache takes most of a trace's time, since it also serves symbolic shapes. This one caches ordinary
    operations on dense tensors of fixed shapes; torch runs all others.
    """

    def __init__(self) -> None:
        super().__init__()
        # the index of the returned argument, a _Made or several of these
        self._known: dict[Hashable, Any] = {}
        self._ordinary: dict[Any, bool] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run an operation, or only make its results where they are known."""
        kwargs = kwargs or {}
        if func in _RANGES and _length(func, args) <= MOST_VALUES:
            return self._range(func, args, kwargs)
        key = self._key(func, args, kwargs)
        if key is None:
            return self.dispatch(func, types, args, kwargs)
        known = self._known.get(key)
        if known is None:
            result = self.dispatch(func, types, args, kwargs)
            self._remember(key, args, kwargs, result)
            return result
        return self._again(known, args, kwargs)

    def known(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Return an operation's result without torch's dispatcher; ``NotImplemented`` where it is not cached."""
        if _changes_in_place(func) and all(getattr(one, "constant", self) is None for one in tensors_in(args)):
            return None
        key = self._key(func, args, kwargs)
        known = None if key is None else self._known.get(key)
        return NotImplemented if known is None else self._again(known, args, kwargs)

    def _key(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Hashable | None:
        """Return the cache's key of a call; None where more than its arguments' shapes decides the results."""
        ordinary = self._ordinary.get(func)
        if ordinary is None:
            ordinary = self._ordinary[func] = _is_ordinary(func) and func not in self.lift_fns
        if not ordinary:
            return None
        try:
            key = (func, torch.get_default_dtype(), torch.is_inference_mode_enabled(), *self._parts(args))
            return (*key, *self._parts(kwargs.items())) if kwargs else key
        except _Unknown:
            return None

    def _again(self, known: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Make an operation's cached results from these arguments."""
        if isinstance(known, _Made):
            return self._make(known, args)
        if isinstance(known, int):
            return args[known] if known < len(args) else list(kwargs.values())[known - len(args)]
        return type(known)([one and self._make(one, args) for one in known])

    def __deepcopy__(self, memo: object) -> "QuickFakeTensorMode":
        """Return itself: a copied layer's tensors refer to their mode, and stay in it."""
        return self

    def _range(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> FakeTensor:
        """Return a range that keeps its numbers: networks read them while they are built."""
        with no_dispatch():
            real = func(*args, **{**kwargs, "device": "cpu"})
        return self.fake_tensor_converter.from_real_tensor(self, real, make_constant=True)

    def _parts(self, values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            if isinstance(value, FakeTensor):
                if value.constant is not None or value.layout is not torch.strided or value.fake_mode is not self:
                    raise _Unknown
                yield value.shape
                yield value.stride()
                yield value.storage_offset()
                yield value.dtype
                yield value.fake_device
                yield value.is_conj() or value.is_neg()
            elif isinstance(value, list | tuple):
                yield len(value)
                yield from self._parts(value)
            elif isinstance(value, Tensor | torch.SymInt | torch.SymFloat | torch.SymBool):
                raise _Unknown
            else:
                yield type(value)  # 1 and 1.0 are equal
                yield value

    def _remember(self, key: Hashable, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
        """Cache an operation's results, if its arguments alone determine them."""
        same = [index for index, argument in enumerate((*args, *kwargs.values())) if argument is result]
        if same:
            self._known[key] = same[0]
            return
        given = [None if not isinstance(value, Tensor) else value.untyped_storage()._cdata for value in args]
        others = {tensor.untyped_storage()._cdata for tensor in tensors_in((*args, *kwargs.values()))}
        results = result if isinstance(result, tuple | list) else (result,)
        made = [self._described(one, given, others) for one in results]
        storages = [one.untyped_storage()._cdata for one in results if isinstance(one, Tensor)]
        if any(one is NotImplemented for one in made) or len(set(storages)) < len(storages):
            return
        self._known[key] = made if isinstance(result, list) else tuple(made) if isinstance(result, tuple) else made[0]

    def _described(self, one: Any, given: list[int | None], others: set[int]) -> Any:
        if one is None:
            return None
        if not isinstance(one, FakeTensor) or one.constant is not None or one.layout is not torch.strided:
            return NotImplemented
        storage = one.untyped_storage()
        place = (tuple(one.shape), one.stride(), int(one.storage_offset()), one.dtype)
        if one.is_conj() or one.is_neg() or one.requires_grad:
            return NotImplemented
        if storage._cdata in given:
            return _Made(*place, given.index(storage._cdata), dict(one.__dict__))
        last = sum((side - 1) * step for side, step in zip(one.shape, one.stride(), strict=True))
        whole = one.storage_offset() == 0 and storage.nbytes() == (last + 1) * one.itemsize * (one.numel() > 0)
        return _Made(*place, -1, dict(one.__dict__)) if whole and storage._cdata not in others else NotImplemented

    def _make(self, made: _Made, args: Sequence[Any]) -> FakeTensor:
        storage = args[made.viewed].untyped_storage() if made.viewed >= 0 else None
        with torch._C._DisableTorchDispatch():
            if storage is None:
                empty = torch.empty_strided(made.shape, made.stride, dtype=made.dtype, device="meta")
            else:
                empty = torch.empty(0, dtype=made.dtype, device="meta")
                empty.set_(storage, made.offset, made.shape, made.stride)
        # ``FakeTensor(...)`` does the same, and takes a tenth of a trace's time to check its arguments.
        fake = Tensor._make_subclass(
            FakeTensor, empty, False, dispatch_device=True, device_for_backend_keys=made.device
        )
        fake.__dict__.update(made.state)
        return fake


def _length(func: Any, args: Sequence[Any]) -> float:
    if not all(isinstance(value, int | float) for value in args):
        return math.inf
    if func is aten.linspace.default:
        return float(args[2])
    start, end, step = (0, args[0], 1) if len(args) == 1 else (*args, 1)[:3]
    return (end - start) / step


@contextmanager
def undrawn() -> Iterator[None]:
    """Skip torch's truncated normal draws, which look at values to decide whether to draw again."""
    name = "_no_grad_trunc_normal_"
    drawing = getattr(nn.init, name, None)
    if drawing is not None:
        setattr(nn.init, name, lambda tensor, *_, **__: tensor)
    try:
        yield
    finally:
        if drawing is not None:
            setattr(nn.init, name, drawing)


@cache
def _changes_in_place(func: Any) -> bool:
    """Whether an operation on lists of tensors changes their values and nothing else: most of an optimiser's step."""
    schema = getattr(func, "_schema", None)
    return schema is not None and schema.name.startswith("aten::_foreach_") and not schema.returns


def _is_ordinary(func: Any) -> bool:
    """Whether shapes and dtypes alone say what an operation returns, and it changes no tensor's shape or storage."""
    return (
        isinstance(func, torch._ops.OpOverload)
        and func.namespace == "aten"
        and not _NEVER.intersection(func.tags)
        and not func._schema.name.startswith("aten::set_")
        and len(func._schema.returns) > 0
    )
