"""The hash of a question's identity: every field, except later ones at their defaults.

A field that is added to a question later, or to the recipe inside it, changes no identity where it has its default:

    accumulate: int = Field(default=1, ge=1, description="...", json_schema_extra=ADDED)

The default has to mean what happened before the field was there. Never imports torch.
"""

import hashlib
import json
from functools import cache
from typing import Any, Final

from pydantic import BaseModel
from pydantic.fields import FieldInfo

ADDED: Final[dict[str, Any]] = {"added": True}
"""Marks a field that is younger than stored records; it must have a default."""


def asked(question: BaseModel) -> dict[str, Any]:
    """Return a question as JSON values, without fields marked ``ADDED`` that have their default.

    Args:
        question: its fields, and those of questions inside it, may be marked.
    """
    return question.model_dump(mode="json", exclude=_unasked(question))


def digest(content: dict[str, Any]) -> str:
    """Return the SHA-256 of the canonical JSON of some values, as 64 hexadecimal digits."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _unasked(question: BaseModel) -> dict[str, Any]:
    left_out: dict[str, Any] = {}
    defaults = _defaults_of_added(type(question))
    for name in type(question).model_fields:
        value = getattr(question, name)
        if name in defaults and value == defaults[name]:
            left_out[name] = True
        elif inside := _inside(value):
            left_out[name] = inside
    return left_out


@cache
def _defaults_of_added(question: type[BaseModel]) -> dict[str, Any]:
    fields = question.model_fields.items()
    return {name: field.get_default(call_default_factory=True) for name, field in fields if _is_added(field)}


def _inside(value: object) -> dict[Any, Any]:
    """Return what pydantic is to leave out within a field: of a model by name, of a tuple by place."""
    if isinstance(value, BaseModel):
        return _unasked(value)
    if isinstance(value, tuple):
        return {place: found for place, item in enumerate(value) if (found := _inside(item))}
    return {}


def _is_added(field: FieldInfo) -> bool:
    return isinstance(field.json_schema_extra, dict) and bool(field.json_schema_extra.get("added"))
