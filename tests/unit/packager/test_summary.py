"""The song at a glance."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.steps import StepName
from tasks.common.errors import EngineFailed
from tasks.packager.step_results import ResultOrError
from tasks.packager.summary import clock, escape, link, summary_lines, summary_markdown, uri_of

GOLDEN = Path(__file__).parent / "golden" / "summary.md"


def test_the_lines_tell_what_a_musician_asks(join: Callable[..., Any]) -> None:
    assert summary_lines(join()) == [
        ("title", "Ünsere Straße – The [Band]"),
        ("duration", "0:16"),
        ("tempo", "120.0 BPM"),
        ("meter", "4/4, changing"),
        ("key", "A minor from 0:00, C# major from 0:08"),
        ("sections", "verse 1 0:00, chorus 1 0:05, verse 2 0:08, chorus 2 0:12"),
        ("chords", "Am7/C  C#"),
        ("lyrics", "Hello, world / again"),
        ("melody", "3 notes, and 3 of other voices"),
        ("bass", "2 notes"),
    ]


def test_what_is_missing_is_said(join: Callable[..., Any], results: dict[StepName, ResultOrError]) -> None:
    beats: Any = results["beats_key"]
    no_pulse = beats.model_copy(update={"tempo": beats.tempo.model_copy(update={"bpm_global": None}), "key_spans": ()})
    lines = dict(summary_lines(join(beats_key=no_pulse, asr=EngineFailed("x"), chords=None, structure=None)))
    assert (lines["tempo"], lines["key"], lines["lyrics"], lines["chords"], lines["sections"]) == ("no steady pulse", "–", "–", "–", "–")
    assert lines["status"] == "partial: without asr, chords, structure"


def test_a_song_without_words_is_not_a_failed_step(join: Callable[..., Any], results: dict[StepName, ResultOrError]) -> None:
    lyrics: Any = results["asr"]
    assert dict(summary_lines(join(asr=lyrics.model_copy(update={"lines": ()}))))["lyrics"] == "none heard"


def test_control_characters_in_tags_do_not_reach_the_terminal(join: Callable[..., Any], results: dict[StepName, ResultOrError]) -> None:
    source: Any = results["ingest"]
    tagged = source.model_copy(update={"tags": source.tags.model_copy(update={"title": "a\x1b[31m\r\nb", "artist": None})})
    assert summary_lines(join(ingest=tagged))[0] == ("title", "a [31m  b")


def test_the_markdown_is_the_golden_one(join: Callable[..., Any]) -> None:
    assert summary_markdown(join(), Path("/songs/my song"), Path.as_uri) == GOLDEN.read_text(encoding="utf-8")


def test_markdown_is_not_indented_and_its_tables_are_whole(join: Callable[..., Any]) -> None:
    text = summary_markdown(join(asr=EngineFailed("pipes | and\nlines")), Path("/songs"), Path.as_uri)
    assert not any(line.startswith((" ", "\t")) for line in text.splitlines())
    steps = [line for line in text.splitlines() if line.startswith("| asr ")]
    assert len(steps) == 1
    assert steps[0].replace("\\|", "").count("|") == 6


@pytest.mark.parametrize(("seconds", "text"), [(0.0, "0:00"), (59.6, "1:00"), (187.2, "3:07"), (3600.0, "60:00")])
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_markdown_in_texts_is_shown_as_it_is() -> None:
    assert escape("a|b *c* [d](e) <f>\n`g`") == "a\\|b \\*c\\* \\[d\\]\\(e\\) \\<f\\> \\`g\\`"


def test_links_hold_together_whatever_the_folder_is_called() -> None:
    assert link("x_y.json", Path("/a b/(c)/x_y.json").as_uri()) == "[x_y.json](file:///a%20b/%28c%29/x_y.json)"


def test_files_are_linked_over_http_where_the_output_folder_is_served() -> None:
    served = "http://127.0.0.1:9/"
    assert uri_of(Path("/out/a b/ä.json"), Path("/out"), served) == "http://127.0.0.1:9/a%20b/%C3%A4.json"
    assert uri_of(Path("/elsewhere/a.json"), Path("/out"), served) == "file:///elsewhere/a.json"
    assert uri_of(Path("/out/a.json"), Path("/out"), None) == "file:///out/a.json"
