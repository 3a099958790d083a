"""JamendoLyrics (Stoller et al., 2019; Durand et al., 2023): full songs, with words and lines timed by people.

JamendoLyrics.csv                      one row a song: file, language …
annotations/lines/<song>.csv           start_time, end_time, lyrics_line
annotations/words/<song>.csv           word_start, word_end, line_end
lyrics/<song>.words.txt                the words, one a line, in the order of annotations/words
"""

from __future__ import annotations

import csv
from pathlib import Path

from tasks.evaluation.annotations import AnnotatedSong, Annotations, TimedWord
from tasks.evaluation.datasets.reading import as_it_is

_CODES = {"English": "en", "French": "fr", "German": "de", "Spanish": "es"}


def load(folder: Path, _rendered: Path) -> list[AnnotatedSong]:
    return [_song(folder, row) for row in sorted(_rows(folder / "JamendoLyrics.csv"), key=lambda row: row["Filepath"])]


def _song(folder: Path, row: dict[str, str]) -> AnnotatedSong:
    name = Path(row["Filepath"]).stem
    texts = (folder / "lyrics" / f"{name}.words.txt").read_text(encoding="utf-8").split()
    times = _rows(folder / "annotations" / "words" / f"{name}.csv")
    lines = _rows(folder / "annotations" / "lines" / f"{name}.csv")
    return AnnotatedSong(
        "jamendolyrics",
        name,
        as_it_is(folder / "mp3" / row["Filepath"]),
        Annotations(
            words=tuple(TimedWord(float(t["word_start"]), float(t["word_end"]), text) for text, t in zip(texts, times, strict=True)),
            lines=tuple(TimedWord(float(line["start_time"]), float(line["end_time"]), line["lyrics_line"]) for line in lines),
            language=_CODES.get(row["Language"]),
        ),
    )


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))
