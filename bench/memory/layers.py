"""Knows which layer computes, while a step runs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import nn


@dataclass
class Layers:
    """Knows which module computes."""

    names: dict[int, str] = field(default_factory=dict)
    stack: list[str] = field(default_factory=list)
    learnt: Callable[[nn.Module], None] = lambda model: None
    """Told of every model before it first computes."""

    def enter(self, module: nn.Module, _: Any) -> None:
        """Note that a module begins to compute: a pre-hook of every module."""
        if id(module) not in self.names:
            self._learn(module)
        self.stack.append(self.names[id(module)])

    def leave(self, *_: Any) -> None:
        """Note that a module ends: a hook of every module."""
        self.stack.pop()

    def _learn(self, module: nn.Module) -> None:
        model = module
        while len(parts := list(model.children())) == 1 and not list(model.parameters(recurse=False)):
            (model,) = parts  # what only wraps a model gives no name
        self.names |= {id(part): "" for part in module.modules() if id(part) not in self.names}
        self.names |= {id(part): name for name, part in model.named_modules() if name}
        self.learnt(model)

    @property
    def current(self) -> str:
        """Name of the innermost named module that computes; "" outside all."""
        return next((name for name in reversed(self.stack) if name), "")
