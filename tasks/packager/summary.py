"""A Song Map at a glance: lines for a terminal, markdown for the Prefect UI."""

from __future__ import annotations

from pathlib import Path

from schemas.song_map import SongMap

_SHOWN_CHORDS = 12
_SHOWN_LINES = 4


def clock(seconds: float) -> str:
    """Minutes and seconds: 3:07."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def summary_lines(song_map: SongMap) -> list[tuple[str, str]]:
    """(name, text) pairs, in the order a musician asks."""
    tags = song_map.source.tags
    lines = [
        ("title", song_map.title + (f" – {tags.artist}" if tags.artist else "")),
        ("duration", clock(song_map.duration_sec)),
        ("tempo", _tempo(song_map)),
        ("meter", f"{song_map.meter.numerator}/{song_map.meter.denominator}"),
        ("key", _key(song_map)),
        ("sections", ", ".join(f"{s.label} {s.index} {clock(s.start)}" for s in song_map.sections) or "–"),
        ("chords", _chords(song_map)),
        ("lyrics", _lyrics(song_map)),
        ("melody", f"{len(song_map.performance.melody)} notes"),
        ("bass", f"{len(song_map.performance.bass)} notes"),
    ]
    return lines if song_map.status == "complete" else [*lines, ("status", "partial: see below")]


def _tempo(song_map: SongMap) -> str:
    bpm = song_map.tempo.bpm_global
    return f"{bpm:.1f} BPM" if bpm is not None else "no steady pulse"


def _key(song_map: SongMap) -> str:
    if not song_map.key:
        return "–"
    return ", ".join(f"{key.tonic} {key.mode}" + (f" from {clock(key.start)}" if len(song_map.key) > 1 else "") for key in song_map.key)


def _chords(song_map: SongMap) -> str:
    shown = [chord.display for chord in song_map.chords if chord.label != "N"]
    return "  ".join(shown[:_SHOWN_CHORDS]) + (" …" if len(shown) > _SHOWN_CHORDS else "") if shown else "–"


def _lyrics(song_map: SongMap) -> str:
    if not song_map.lyrics:
        return "none heard"
    shown = " / ".join(line.text for line in song_map.lyrics[:_SHOWN_LINES])
    return shown + (" …" if len(song_map.lyrics) > _SHOWN_LINES else "")


def summary_markdown(song_map: SongMap, folder: Path) -> str:
    """Markdown for a Prefect artifact. Not indented: Prefect would show it as code."""
    rows = [f"| {name} | {escape(text)} |" for name, text in summary_lines(song_map)]
    steps = [
        f"| {name} | {step.status} | {escape(step.engine or '')} | {step.seconds if step.seconds is not None else ''} "
        f"| {escape('; '.join((*step.reasons, *step.warnings)))} |"
        for name, step in song_map.steps
    ]
    return "\n".join(
        [
            f"# {escape(song_map.title)}",
            "",
            "| | |",
            "| --- | --- |",
            *rows,
            "",
            "| step | status | engine | seconds | notes |",
            "| --- | --- | --- | --- | --- |",
            *steps,
            "",
            f"Song Map: `{folder / 'song_map.json'}`",
        ]
    )


def escape(text: str) -> str:
    """Text that markdown shows as it is, in a table cell too."""
    for character in "\\`*_[]<>#|":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())
