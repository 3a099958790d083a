"""A map is valid whatever persons said."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas import corrections as c
from schemas.song_map import SongMap
from tasks.corrections.log import with_changes
from tasks.packager import corrected as module
from tasks.packager.corrected import corrected

GOLDEN = Path(__file__).parent / "golden" / "song_map.json"


@pytest.fixture
def machine() -> SongMap:
    return SongMap.from_json(GOLDEN.read_bytes())


def titles(machine: SongMap, *texts: str) -> c.Corrections:
    return with_changes(c.Corrections(song=machine.id), machine, [(c.TitleSet(title=text), None) for text in texts], "Ann")


def test_what_would_make_the_map_invalid_is_a_conflict_and_the_rest_holds(machine: SongMap, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []

    def problems(song_map: SongMap) -> list[str]:
        looked.append(song_map.title)
        return ["$.title: is bad"] if song_map.title.startswith("bad") else []

    monkeypatch.setattr(module, "document_problems", problems)
    done = corrected(machine, titles(machine, *(f"bad {n}" if n in (3, 20, 39) else f"good {n}" for n in range(40))))
    assert done.song_map.title == "good 38"
    conflicts = {number: outcome.text for number, outcome in enumerate(done.outcomes) if outcome.outcome == "conflict"}
    assert set(conflicts) == {39}  # the others were said anew, and the map is valid
    assert "is bad" in conflicts[39]
    assert len(looked) < 20


def test_a_map_that_was_invalid_before_is_corrected_as_it_is(machine: SongMap, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "document_problems", lambda _: ["$: of another version"])
    assert corrected(machine, titles(machine, "Road")).song_map.title == "Road"


def test_a_valid_map_is_looked_at_once(machine: SongMap, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    monkeypatch.setattr(module, "document_problems", lambda song_map: looked.append(song_map.title) or [])
    assert corrected(machine, titles(machine, "Road", "River")).song_map.title == "River"
    assert looked == ["River"]


def test_many_that_would_make_it_invalid_are_refused_soon_and_what_was_said_before_holds(
    machine: SongMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []

    def problems(song_map: SongMap) -> list[str]:
        looked.append(song_map.title)
        return ["$.title: is bad"] if song_map.title.startswith("bad") else []

    monkeypatch.setattr(module, "document_problems", problems)
    done = corrected(machine, titles(machine, "good", *(f"bad {n}" for n in range(300))))
    assert done.song_map.title == "good"
    assert [outcome.outcome for outcome in done.outcomes] == ["applied", *["conflict"] * 300]
    assert all("is bad" in outcome.text for outcome in done.outcomes[1:])
    assert len(looked) < 120
