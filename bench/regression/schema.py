"""The layout of records, flattened so that a difference names its field. Never imports torch."""

import json
from typing import Any

from bench.records import Record

_WORDS = ("title", "description", "added")
"""Of a JSON schema: what says nothing about the layout."""


def layout() -> dict[str, str]:
    """Return every field of a record and of what is inside it, as 'class.field', with its type in short JSON."""
    schema = Record.model_json_schema()
    classes = {"Record": schema, **schema["$defs"]}
    return {f"{name}.{field}": text for name, content in classes.items() for field, text in _fields(content).items()}


def _fields(content: dict[str, Any]) -> dict[str, str]:
    if "properties" not in content:
        return {"values": _short(content)}
    required = set(content.get("required", ()))
    return {
        field: _short(described) + (", required" if field in required else "")
        for field, described in content["properties"].items()
    }


def _short(content: Any) -> str:
    return json.dumps(_stripped(content), sort_keys=True, separators=(",", ":"))


def _stripped(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _stripped(value) for key, value in content.items() if key not in _WORDS}
    return [_stripped(value) for value in content] if isinstance(content, list) else content
