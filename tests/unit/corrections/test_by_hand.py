"""The round trip: written as a file, changed by hand, read again. The corrected map says what the file says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from schemas import corrections as c
from schemas.song_map import SongMap
from tasks.common.errors import CorrectionsInvalid
from tasks.corrections.apply import Correcting
from tasks.corrections.by_hand import kind_of, labels_by_hand, lines_by_hand
from tasks.corrections.label_files import KINDS, Label, Of, labels_of, read_lrc

Correct = Callable[..., Correcting]


@pytest.fixture
def taken(song_map: SongMap, correct: Correct) -> Callable[..., SongMap]:
    """taken(of, labels): the map after the import; every operation is applied, or the one before said it too."""

    def made(of: Of, labels: Sequence[Label]) -> SongMap:
        done = correct(song_map, *(change for change, _ in labels_by_hand(song_map, of, labels).changes))
        assert {outcome.outcome for outcome in done.outcomes} <= {"applied", "obsolete"}, done.outcomes
        return done.song_map

    return made


def same(labels: Sequence[Label], wanted: Sequence[Label]) -> None:
    assert [label.text for label in labels] == [label.text for label in wanted]
    assert [label.start for label in labels] == pytest.approx([label.start for label in wanted], abs=1e-5)
    assert [label.end for label in labels] == pytest.approx([label.end for label in wanted], abs=1e-5)


@pytest.mark.parametrize("of", [kind for kind in KINDS if kind != "harmony"])
def test_a_file_that_nobody_changed_puts_nothing_right(of: Of, song_map: SongMap) -> None:
    labels = labels_of(song_map, of)
    done = labels_by_hand(song_map, of, labels)
    assert (done.changes, done.left) == ([], [])
    assert kind_of(song_map, labels) == of


def test_words_that_were_moved_and_renamed(song_map: SongMap, taken: Callable[..., SongMap]) -> None:
    labels = labels_of(song_map, "words")
    labels[0] = replace(labels[0], text="Talking")
    labels[5] = replace(labels[5], start=labels[5].start + 0.2, end=labels[5].end + 0.08)
    same(labels_of(taken("words", labels), "words"), labels)


def test_a_line_that_was_moved_by_more_than_a_word(song_map: SongMap, taken: Callable[..., SongMap]) -> None:
    labels = labels_of(song_map, "words")
    moved = [replace(label, start=label.start + 0.7, end=label.end + 0.7) if 8 <= label.start < 12 else label for label in labels]
    same(labels_of(taken("words", moved), "words"), moved)


def test_all_words_moved_as_one_are_one_operation(song_map: SongMap) -> None:
    labels = [replace(label, start=label.start + 0.12, end=label.end + 0.12) for label in labels_of(song_map, "words")]
    (change, _), *others = labels_by_hand(song_map, "words", labels).changes
    assert isinstance(change, c.LyricsShifted)
    assert (change.ms, others) == (pytest.approx(120), [])


def test_words_that_were_added_and_taken_out(song_map: SongMap, taken: Callable[..., SongMap]) -> None:
    labels = labels_of(song_map, "words")
    gone = labels.pop(3)
    labels.insert(8, Label(labels[7].end - 0.1, labels[7].end, "oh"))
    texts = [label.text for label in labels_of(taken("words", labels), "words")]
    assert texts == [label.text for label in labels]
    assert gone.text == "river"


def test_other_lyrics_are_refused(song_map: SongMap) -> None:
    with pytest.raises(CorrectionsInvalid, match="lyrics give"):
        labels_by_hand(song_map, "words", [Label(0.0, 1.0, "Lorem"), Label(1.0, 2.0, "ipsum")])


def test_chords_that_were_renamed_split_and_moved(song_map: SongMap, taken: Callable[..., SongMap]) -> None:
    labels = labels_of(song_map, "chords")
    labels[4] = replace(labels[4], text="Am7")
    labels[6:7] = [replace(labels[6], end=13.0), replace(labels[6], start=13.0, text="Em")]
    labels[9], labels[10] = replace(labels[9], end=labels[9].end + 0.5), replace(labels[10], start=labels[10].start + 0.5)
    same(labels_of(taken("chords", labels), "chords"), labels)


def test_a_chord_that_is_none_is_refused(song_map: SongMap) -> None:
    with pytest.raises(CorrectionsInvalid, match="H7"):
        labels_by_hand(song_map, "chords", [Label(0.0, 2.0, "H7")])


def test_sections_that_were_merged_moved_split_and_renamed(song_map: SongMap, taken: Callable[..., SongMap]) -> None:
    labels = [Label(0.0, 24.0, "verse"), Label(24.0, 32.0, "prechorus"), Label(32.0, 42.0, "chorus"), Label(42.0, 64.0, "bridge")]
    same(labels_of(taken("sections", labels), "sections"), labels)


def test_beats_that_were_moved_are_replaced_or_shifted(song_map: SongMap, taken: Callable[..., SongMap]) -> None:
    labels = labels_of(song_map, "beats")
    labels[3] = Label(labels[3].start + 0.05, labels[3].start + 0.05, labels[3].text)
    same(labels_of(taken("beats", labels), "beats"), labels)
    later = [Label(label.start + 0.03, label.start + 0.03, label.text) for label in labels_of(song_map, "beats")]
    ((change, _),) = labels_by_hand(song_map, "beats", later).changes
    assert isinstance(change, c.BeatsShifted)


def test_notes_that_were_moved_and_what_cannot_be_said(song_map: SongMap, taken: Callable[..., SongMap]) -> None:
    labels = labels_of(song_map, "bass")
    labels[2] = replace(labels[2], text="E2", end=labels[2].end + 0.2)
    same(labels_of(taken("bass", labels), "bass"), labels)
    left = labels_by_hand(song_map, "bass", [*labels[1:], Label(1.6, 1.9, "C2")]).left
    assert len(left) == 2


def lrc(song_map: SongMap, shift: float = 0.0) -> str:
    stamped = ((line.start + shift, line.text) for line in song_map.lyrics)
    return "".join(f"[{int(at // 60):02d}:{at % 60:05.2f}]{text}\n" for at, text in stamped)


def test_lrc_that_nobody_changed_puts_nothing_right(song_map: SongMap) -> None:
    assert lines_by_hand(song_map, read_lrc(lrc(song_map))).changes == []


def test_lines_of_lrc_that_were_moved_and_renamed(song_map: SongMap, correct: Correct) -> None:
    lines = lrc(song_map).splitlines()
    lines[1] = lines[1].replace("knows", "sees")
    lines[2] = "[00:16.50]" + lines[2].partition("]")[2]
    done = correct(song_map, *(change for change, _ in lines_by_hand(song_map, read_lrc("\n".join(lines))).changes))
    assert {outcome.outcome for outcome in done.outcomes} == {"applied"}
    made = done.song_map.lyrics
    assert made[1].text == "nobody sees where it goes"
    assert [word.start for word in made[2].words] == pytest.approx([word.start + 0.5 for word in song_map.lyrics[2].words])
    assert made[3] == song_map.lyrics[3]


def test_words_of_enhanced_lrc_have_their_own_times(song_map: SongMap, correct: Correct) -> None:
    first = song_map.lyrics[0]
    stamped = "[00:08.00]" + " ".join(
        f"<00:{word.start + (0.2 if place == 2 else 0):05.2f}>{word.text}" for place, word in enumerate(first.words)
    )
    lines = [stamped, *lrc(song_map).splitlines()[1:]]
    changes = lines_by_hand(song_map, read_lrc("\n".join(lines))).changes
    (change, _) = changes[0]
    assert isinstance(change, c.WordTime)
    assert (len(changes), change.word.text, change.start) == (1, "the", pytest.approx(first.words[2].start + 0.2))
