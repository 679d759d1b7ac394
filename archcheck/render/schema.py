"""The JSON Schema of a saved report, generated from the annotations of the dataclasses."""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Mapping
from typing import Any, cast

from archcheck.foundation.json_codec import written_fields
from archcheck.judging.shards import Shard
from archcheck.rules.findings import SCHEMA, Report

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SCALARS = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null", dict: "object"}

Json = dict[str, Any]


def report_schema() -> Json:
    """Return the schema of the document that `render_json` writes; it allows keys that it does not know."""
    definitions: dict[str, Json] = {}
    reports = {"type": "array", "items": _of(Report, definitions)}
    report = definitions["Report"]
    either = [{"required": [key]} for key in ("facts", "error", "weights")]
    names = {"facts": "Facts", "error": "MeasurementFailure", "weights": "Weights"}
    given = {key: {"$ref": f"#/$defs/{name}"} for key, name in names.items()}
    required = [key for key in report["required"] if key not in given]
    totals = {"type": "object", "additionalProperties": {"type": "integer"}}
    shard = _of(Shard, definitions)
    definitions["Report"] = report | {
        "properties": report["properties"] | given | {"totals": totals},
        "required": [*required, "totals"],
        "oneOf": either,
    }
    return {
        "$schema": DIALECT,
        "title": "A report of archcheck",
        "type": "object",
        "properties": {"schema": {"const": SCHEMA}, "reports": reports, "shard": shard},
        "required": ["schema", "reports"],
        "$defs": dict(sorted(definitions.items())),
    }


def _of(kind: Any, definitions: dict[str, Json]) -> Json:
    """Describe the values of an annotation as `archcheck.foundation.json_codec` writes them."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return {}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_of(each, definitions) for each in arguments]}
    if origin is tuple:
        return _of_tuple(arguments, definitions)
    if origin in (dict, Mapping):
        return {"type": "object", "additionalProperties": _of(arguments[1], definitions)}
    if dataclasses.is_dataclass(kind):
        return _of_dataclass(cast(type, kind), definitions)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return {"enum": [each.value for each in kind]}
    return {"type": _SCALARS[kind]}


def _of_tuple(items: tuple[Any, ...], definitions: dict[str, Json]) -> Json:
    if len(items) == 2 and items[1] is Ellipsis:
        return {"type": "array", "items": _of(items[0], definitions)}
    each = [_of(item, definitions) for item in items]
    return {"type": "array", "prefixItems": each, "minItems": len(each), "maxItems": len(each)}


def _of_dataclass(kind: type, definitions: dict[str, Json]) -> Json:
    if kind.__name__ not in definitions:
        definitions[kind.__name__] = {}  # a class may hold itself
        hints = typing.get_type_hints(kind)
        names = [field.name for field in written_fields(kind)]
        properties = {name: _of(hints[name], definitions) for name in names}
        definitions[kind.__name__] = {"type": "object", "properties": properties, "required": names}
    return {"$ref": f"#/$defs/{kind.__name__}"}
