"""The schema of the Song Map and its models say the same."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from schemas.generate import schema_of_corrections, schema_of_models
from schemas.song_map import SCHEMA_VERSION, SongMap, load_schema

ROOT = Path(__file__).parents[3]
Document = dict[str, Any]
EXAMPLE = Path(__file__).parents[1] / "packager" / "golden" / "song_map.json"
#: The same with what a person put right.
CORRECTED = {
    "by_person": ["title"],
    "corrections": {"operations": 1, "outcomes": [{"id": "0" * 12, "kind": "title", "outcome": "applied", "text": "title: Road"}]},
}

#: Values like those of a Song Map, right and wrong ones.
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-2, 130).map(float)
    | st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)
    | st.sampled_from(["major", "N", "A:min7", "C#", "ok", "cached", "vocals", "en", "1.0", "0123456789abcdef", "verse"]),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)


@pytest.fixture
def document() -> Document:
    found: Document = json.loads(EXAMPLE.read_text(encoding="utf-8"))
    return found


def objects_of(schema: Document) -> dict[str, Document]:
    return {"SongMap": schema} | schema["$defs"]


def is_valid(document: Document) -> bool:
    return bool(Draft202012Validator(load_schema()).is_valid(document))


def is_read(document: Document) -> bool:
    try:
        SongMap.from_json(json.dumps(document))
    except ValidationError:
        return False
    return True


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inside: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        inside = list(value.items())
    elif isinstance(value, list):
        inside = list(enumerate(value))
    return [found for part, item in inside for found in ((*path, part), *places(item, (*path, part)))]


def test_the_schema_is_that_of_the_models() -> None:
    assert load_schema() == schema_of_models(), "run: python -m schemas.generate"


def test_the_schema_of_corrections_is_that_of_the_models() -> None:
    written = json.loads((ROOT / "schemas" / "corrections.schema.json").read_text(encoding="utf-8"))
    assert written == schema_of_corrections(), "run: python -m schemas.generate"
    Draft202012Validator.check_schema(written)


def test_the_schema_is_a_valid_schema_of_the_2020_draft() -> None:
    schema = load_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["properties"]["schema_version"]["const"] == SCHEMA_VERSION
    Draft202012Validator.check_schema(schema)


#: Younger than the first maps of this version: such a map is still valid.
LATER = {
    **{name: {"by"} for name in ("Tempo", "Meter", "MeterChange", "Key", "Chord", "Section", "Word", "LyricLine", "Note")},
    "SongMap": {"by_person", "corrections", "stems_gain_db"},
    "Options": {"tempo_range", "melody_range", "bass_range", "track", "accept_damaged", "stems_format"},
    "Performance": {"harmony"},
    "Stem": {"format", "file_sha256"},
    "Source": {"analysed_sha256", "track", "tracks", "start_sec", "gain_db", "offset", "channels"},
    "Steps": {"align"},
    "Voice": {"given"},
}


def test_every_object_is_closed_and_all_its_fields_are_required() -> None:
    for name, found in objects_of(load_schema()).items():
        assert found["additionalProperties"] is False, name
        assert set(found["required"]) == set(found["properties"]) - LATER.get(name, set()), name


def test_everything_has_a_title_and_a_description() -> None:
    for name, found in objects_of(load_schema()).items():
        assert found["title"], name
        assert found["description"], name
        for field, value in found["properties"].items():
            refers = "$ref" in value or any("$ref" in choice for choice in value.get("anyOf", ()))
            assert "title" in value or refers, f"{name}.{field}"
            assert "description" in value or "$ref" in value, f"{name}.{field}"


def test_the_example_uses_every_field_of_every_object(document: Document) -> None:
    schema = load_schema()
    used: set[str] = set()

    def walk(value: Any, found: Document) -> None:
        if "$ref" in found:
            name = found["$ref"].rsplit("/", 1)[1]
            used.add(name)
            walk(value, schema["$defs"][name])
        elif "anyOf" in found:
            walk(value, found["anyOf"][0])
        elif isinstance(value, dict) and "properties" in found:
            for field, inner in value.items():
                walk(inner, found["properties"][field])
        elif isinstance(value, list) and "items" in found:
            for inner in value:
                walk(inner, found["items"])

    given = {
        "fits": True,
        "words": 3,
        "agreement": 0.9,
        "unplaced": [{"line": 1, "text": "a"}],
        "headers": [{"start": 1.0, "text": "Verse"}],
    }
    walk(document | CORRECTED | {"voice": document["voice"] | {"given": given}}, schema)  # of songs with given lyrics alone
    assert used == set(schema["$defs"])


def test_the_example_is_valid_and_read_and_written_as_it_was(document: Document) -> None:
    assert is_valid(document)
    assert SongMap.from_json(EXAMPLE.read_bytes()).to_json() == EXAMPLE.read_text(encoding="utf-8")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
@given(data=st.data())
def test_whatever_changes_the_schema_and_the_models_agree(document: Document, data: st.DataObject) -> None:
    changed = copy.deepcopy(document)
    path = data.draw(st.sampled_from(places(changed)))
    place: Any = changed
    for part in path[:-1]:
        place = place[part]
    change = data.draw(st.sampled_from(["replace", "remove", "add"]))
    if change == "replace":
        place[path[-1]] = data.draw(values)
    elif change == "remove":
        del place[path[-1]]
    elif isinstance(place, dict):
        place[data.draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=4))] = data.draw(values)
    else:
        place.append(data.draw(values))
    assert is_valid(changed) == is_read(changed)


def test_a_field_of_the_old_front_end_cannot_be_lost() -> None:
    old = {"id", "duration_sec", "tempo", "meter", "beats", "downbeats", "key", "chords", "sections", "lyrics", "performance", "provenance"}
    assert old <= set(load_schema()["required"])


@pytest.mark.parametrize("label", ["N", "X", "C:maj", "A:min7/b3", "Bb:hdim7", "F#:sus4(b7)", "E:(1,5)", "G/5", "C:min7(*5,b9)", "D:9"])
def test_harte_labels_are_taken(document: Document, label: str) -> None:
    document["chords"][1]["label"] = label
    assert is_valid(document)
    assert is_read(document)


@pytest.mark.parametrize("label", ["", "H", "Am7", "C:", "C:maj/", "N:maj", "c:maj", " C", "C:maj 7"])
def test_other_labels_are_not(document: Document, label: str) -> None:
    document["chords"][1]["label"] = label
    assert not is_valid(document)
    assert not is_read(document)


def test_maps_are_frozen_and_know_their_folder_only_in_this_process(document: Document, tmp_path: Path) -> None:
    song_map = SongMap.from_json(json.dumps(document))
    with pytest.raises(ValidationError):
        song_map.title = "other"  # type: ignore[misc]
    written = song_map.written_to(tmp_path)
    assert (song_map.folder, written.folder) == (None, tmp_path)
    assert str(tmp_path) not in written.to_json()


def test_numbers_that_are_not_numbers_are_not_written(document: Document) -> None:
    song_map = SongMap.from_json(json.dumps(document))
    with pytest.raises(ValueError, match="JSON"):
        song_map.model_copy(update={"duration_sec": float("nan")}).to_json()
