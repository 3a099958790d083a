"""Write `song_map.schema.json` and `corrections.schema.json` from the models:  python -m schemas.generate

The files are what is published and checked against; a test fails while they and the models differ. A change that an old reader would not
understand raises SCHEMA_VERSION.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from schemas.corrections import CORRECTIONS_VERSION, Corrections
from schemas.song_map import SCHEMA_VERSION, SongMap


class _Draft202012(GenerateJsonSchema):
    """Pydantic's own generator, with `"type": ["number", "null"]` for what may be null: shorter to read, plainer when it is broken."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        inner = self.generate_inner(schema["schema"])
        if not isinstance(inner.get("type"), str):
            return super().nullable_schema(schema)
        allowed = inner.get("enum", [inner.pop("const")] if "const" in inner else None)
        choices = {"enum": [*allowed, None]} if allowed else {}
        return inner | {"type": [inner["type"], "null"]} | choices


def schema_of_models() -> dict[str, Any]:
    """The JSON Schema that the models amount to: what `song_map.schema.json` must say."""
    schema = SongMap.model_json_schema(mode="serialization", schema_generator=_Draft202012)
    head = {
        "$schema": GenerateJsonSchema.schema_dialect,
        "$id": f"urn:performia:song-map:{SCHEMA_VERSION}",
        "title": "Performia Song Map",
        "description": schema["description"],
        "type": schema["type"],
        "required": schema["required"],
        "additionalProperties": schema["additionalProperties"],
        "properties": schema["properties"],
    }
    return head | schema | {"title": head["title"]}


def schema_of_corrections() -> dict[str, Any]:
    """The JSON Schema of a song's corrections: what `corrections.schema.json` must say."""
    schema = Corrections.model_json_schema(schema_generator=_Draft202012)
    head = {"$schema": GenerateJsonSchema.schema_dialect, "$id": f"urn:performia:corrections:{CORRECTIONS_VERSION}"}
    return head | schema | {"title": "Performia corrections"}


def schema_text(schema: dict[str, Any]) -> str:
    """A file's content."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for name, made in (("song_map", schema_of_models()), ("corrections", schema_of_corrections())):
        Path(__file__).with_name(f"{name}.schema.json").write_text(schema_text(made), encoding="utf-8")
