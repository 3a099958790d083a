"""The shape of the song analysis."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from flows import analyze_song
from schemas.options import AnalysisOptions
from schemas.steps import STEPS

ROOT = Path(__file__).parents[3]


def mermaid(song: Path, options: AnalysisOptions | None = None) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return str(analyze_song.generate_mermaid_graph(song, *([options] if options is not None else [])))


@pytest.mark.parametrize("lyrics", [None, "La la la"])
def test_a_step_waits_for_its_own_inputs_and_for_nothing_else(demo_song: Path, lyrics: str | None) -> None:
    import re

    graph = mermaid(demo_song, AnalysisOptions(lyrics=lyrics))
    names = dict(re.findall(r'(\w+)\["?([\w]+)-0"?\]', graph))
    edges: dict[str, set[str]] = {name: set() for name in names.values()}
    for source, target in re.findall(r"(\w+) --> (\w+)", graph):
        edges[names[target]].add(names[source])
    drawn = {name for name, facts in STEPS.items() if lyrics or not facts.on_request}
    assert edges == {name: set(STEPS[name].reads) & drawn for name in drawn}


def test_the_readme_of_the_flows_shows_this_graph(demo_song: Path) -> None:
    readme = (ROOT / "flows" / "README.md").read_text(encoding="utf-8")
    assert f"```mermaid\n{mermaid(demo_song).strip()}\n```" in readme


def test_the_parameters_render_as_a_form() -> None:
    schema = analyze_song.parameters
    assert list(schema.properties) == ["song", "options", "output_dir", "expected_sha256", "corrections"]
    assert schema.required == ["song"]
    assert [entry.get("description") for entry in schema.properties.values()] == [
        "Path of the audio file.",
        "How the song is analysed.",
        "Where the song's folder is made. Empty: the data directory.",
        "If given, a file with another SHA-256 is refused.",
        "What persons put right, as `corrections.json` has it, beside what is kept for the song.",
    ]
    options = schema.definitions["AnalysisOptions"]["properties"]
    ranges = ["min_bpm", "max_bpm", "melody_min_midi", "melody_max_midi", "bass_min_midi", "bass_max_midi"]
    reading = ["track", "accept_damaged"]
    assert list(options) == ["quality", "language", "strict", "engines", "stems", *ranges, *reading, "lyrics", "stems_format"]
    assert all(entry.get("description") for entry in options.values())
    # pydantic leaves a title out where it is the enum's own.
    assert all(entry.get("title") or entry.get("$ref") for entry in options.values())
    assert schema.definitions["Quality"]["enum"] == ["fast", "balanced", "best"]


def test_a_served_run_understands_what_the_form_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.flows import load_flow_from_entrypoint

    monkeypatch.chdir(ROOT)
    flow = load_flow_from_entrypoint("flows/song_analysis.py:analyze_song")
    sent = {"song": "song.mp3", "options": {"quality": "fast", "language": "en", "engines": {"chords": "madmom"}}, "output_dir": None}
    understood = flow.validate_parameters(sent)
    assert understood["song"] == Path("song.mp3")
    assert understood["options"].quality == "fast"
    assert understood["options"].engines == {"chords": "madmom"}
