"""MIDI files as truth: believed where their notes bear the bars out."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import mido
import pytest

from tasks.evaluation.datasets import midi

TICKS = 480


def song(*, shift: float = 0.0, drift: float = 0.0, snare: tuple[float, ...] = (1.0, 3.0), bpm: float = 120.0, bars: int = 24) -> bytes:
    """A rock band in 4/4. shift: beats by which everything comes late. drift: beats by which every note comes later than the one before."""
    file = mido.MidiFile(ticks_per_beat=TICKS)
    events: list[tuple[float, mido.Message]] = []
    for number in range(bars * 8):
        beat = number / 2
        late = beat + shift + drift * number
        hits = [(42, 9, 0.2)]
        if beat % 4 in (0, 2):
            hits.append((36, 9, 0.2))
        if beat % 4 in snare:
            hits.append((38, 9, 0.2))
        if beat % 4 == 0:
            hits.append((40, 0, 3.5))
        for pitch, channel, length in hits:
            events.append((late, mido.Message("note_on", note=pitch, channel=channel, velocity=90)))
            events.append((late + length, mido.Message("note_off", note=pitch, channel=channel)))
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(bpm)), mido.MetaMessage("time_signature")])
    now = 0
    for at, message in sorted(events, key=lambda event: event[0]):
        tick = round(at * TICKS)
        track.append(message.copy(time=tick - now))
        now = tick
    file.tracks.append(track)
    out = io.BytesIO()
    file.save(file=out)
    return out.getvalue()


def score(data: bytes) -> midi.Score | None:
    return midi.trusted_score(mido.MidiFile(file=io.BytesIO(data)))


def test_beats_and_bars_of_a_file_whose_notes_agree() -> None:
    found = score(song())
    assert found is not None
    assert found.beats[:3] == (0.0, 0.5, 1.0)
    assert found.downbeats[:3] == (0.0, 2.0, 4.0)
    assert set(found.meters) == {4}


@pytest.mark.parametrize(
    "data",
    [
        song(shift=1.0),
        song(shift=0.13),
        song(drift=0.013),
        song(snare=(0.5, 1.5, 2.5, 3.5)),
        song(snare=(2.0,), bpm=170.0),
        song(snare=(0.0,)),
        song(bars=6),
    ],
    ids=["a beat late", "off its grid", "played freely", "half its tempo", "twice its tempo", "snare on the first beat", "too short"],
)
def test_a_file_whose_notes_do_not_is_left_out(data: bytes) -> None:
    assert score(data) is None


def test_only_the_first_minute_and_a_half_counts() -> None:
    found = score(song(bars=60))
    assert found is not None
    assert found.beats[-1] < midi.LONGEST_SEC <= found.beats[-1] + 0.5


def test_songs_lie_in_folders_and_in_archives_each_once(tmp_path: Path) -> None:
    data = song()
    (tmp_path / "openttd").mkdir()
    (tmp_path / "openttd" / "train.mid").write_bytes(data)
    (tmp_path / "openttd" / "again.mid").write_bytes(data)
    (tmp_path / "openttd" / "broken.mid").write_bytes(b"MThd")
    lump = song(bpm=100.0)
    wad = b"IWAD" + struct.pack("<ii", 1, 12 + len(lump)) + lump + struct.pack("<ii8s", 12, len(lump), b"D_E1M1")
    (tmp_path / "doom").mkdir()
    (tmp_path / "doom" / "one.wad").write_bytes(wad)
    songs = midi.load(tmp_path, tmp_path / "rendered")
    assert [found.id for found in songs] == ["midi/doom/one_D_E1M1", "midi/openttd/again"]
    assert songs[0].truth.tempo_bpm == pytest.approx(100.0, rel=1e-3)
    assert songs[0].split == songs[1].split  # both have 480 ticks in a beat
    assert songs[0].truth.words == ()
