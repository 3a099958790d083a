"""What a command found out about a song is used by the song's run, and only while the file is the same."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.common.errors import AudioChanged, AudioNotFound
from tasks.common.step import StepContext
from tasks.common.storage.artifacts import sha256_file
from tasks.ingest.head_start import HeadStart, head_start_of, identity_of, look_at
from tasks.ingest.ingest import ingest_song

Encode = Callable[..., Path]


def decoded(path: Path, ctx: StepContext) -> HeadStart:
    known = look_at(path)
    return replace(known, source=ingest_song(path, ctx, known.sha256, known))


def change_keeping_the_times(path: Path) -> None:
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_what_was_decoded_before_the_run_is_the_runs(encode: Encode, ctx: StepContext, monkeypatch: pytest.MonkeyPatch) -> None:
    path = encode("wav")
    known = decoded(path, ctx)
    monkeypatch.delattr("tasks.ingest.ingest.Decoder")
    monkeypatch.delattr("tasks.ingest.ingest.file_identity")
    song = ingest_song(path, replace(ctx, flow_run="run"), known.sha256, known)
    assert (song.duration_sec, song.report.flow_run) == (3.0, "run")


def test_what_was_decoded_before_and_then_deleted_is_decoded_again(encode: Encode, ctx: StepContext) -> None:
    path = encode("wav")
    known = decoded(path, ctx)
    for stored in Path(ctx.store.url).rglob("*.wav"):
        stored.unlink()
    song = ingest_song(path, ctx, known.sha256, known)
    assert ctx.store.exists(song.audio)


def test_a_head_start_is_that_of_its_own_song_and_ends_with_its_block(encode: Encode) -> None:
    path, other = encode("wav"), encode("wav", seconds=4.0, name="other.wav")
    known = look_at(path)
    with known.handed_on():
        assert head_start_of(path) is known
        assert head_start_of(other) is None
        assert identity_of(other) == sha256_file(other)
        elsewhere: list[HeadStart | None] = []
        thread = threading.Thread(target=lambda: elsewhere.append(head_start_of(path)))
        thread.start()
        thread.join()
    assert [*elsewhere, head_start_of(path)] == [None, None]


def test_a_changed_file_is_read_again_even_if_its_size_and_date_are_what_they_were(encode: Encode) -> None:
    path = encode("wav")
    known = look_at(path)
    with known.handed_on():
        assert identity_of(path) == known.sha256
        change_keeping_the_times(path)
        assert head_start_of(path) is None
        assert identity_of(path) == sha256_file(path) != known.sha256
        path.unlink()
        with pytest.raises(AudioNotFound):
            identity_of(path)


def test_a_file_that_changes_while_it_is_decoded_is_refused(encode: Encode, ctx: StepContext, monkeypatch: pytest.MonkeyPatch) -> None:
    path = encode("wav")
    known = look_at(path)
    monkeypatch.setattr("tasks.ingest.ingest.SILENCE_PEAK", _Noticed(lambda: change_keeping_the_times(path)))
    with pytest.raises(AudioChanged):
        ingest_song(path, ctx, known.sha256, known)


class _Noticed(float):
    """A threshold that lets something happen when it is looked at: after the decode."""

    def __new__(cls, _: Callable[[], None]) -> _Noticed:
        return super().__new__(cls, 1e-4)

    def __init__(self, happen: Callable[[], None]):
        self.happen = happen

    def __gt__(self, other: float) -> bool:
        self.happen()
        return super().__gt__(other)
