"""From a file to the decode every other step reads."""

from __future__ import annotations

import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from schemas.options import Reading
from schemas.results import SongSource, StepReport
from tasks.common.audio import WavWriter, blocks
from tasks.common.errors import AudioSilent, AudioTooShort
from tasks.common.step import StepContext
from tasks.ingest.checks import file_identity, refuse_changed, refuse_early, too_long
from tasks.ingest.container import OpenSong, opened
from tasks.ingest.decode_audio import Decoder
from tasks.ingest.head_start import HeadStart
from tasks.ingest.lengths import padding_sec, wrong_byte_rate
from tasks.ingest.levels import LevelMeter, Repair
from tasks.ingest.loudness import LoudnessMeter

#: Raised whenever a song would be decoded to something else. What other steps read is known to their caches by its content.
VERSION = 3

#: A song whose largest sample is below this is silent (-80 dBFS).
SILENCE_PEAK = 1e-4
#: So much longer than declared a sound must be for that to be said (s, and share): lossy codecs pad.
_LONGER_SEC = 0.5
_LONGER_SHARE = 0.005
#: From here on it is said that sound and picture do not begin together (s): less is an encoder's delay.
_LATE_SEC = 0.05


def ingest_song(
    path: Path,
    ctx: StepContext,
    identity: str | None = None,
    known: HeadStart | None = None,
    reading: Reading = Reading(),  # noqa: B008 (frozen)
) -> SongSource:
    """Decode a song to 44.1 kHz stereo into the store, and read what the file says of itself.

    identity: SHA-256 of the file's bytes when it was asked for; a file that is another one by the end of the decode is refused.
    known: what was found out about the file before; if that is its decode, it is the answer. reading: which track, and whether also of a
    damaged file.
    Raises an AudioError for anything that cannot be analysed, and then leaves nothing behind; StorageError.
    """
    started = time.perf_counter()
    if known is None:
        refuse_early(path, ctx.settings, reading)
    elif (source := known.decode_for(reading, identity)) is not None and ctx.store.exists(source.audio):
        return source.model_copy(update={"report": source.report.model_copy(update={"flow_run": ctx.flow_run})})
    meter, levels = LoudnessMeter(), LevelMeter()
    with opened(path, reading.track) as song, ctx.store.temporary_dir() as folder:
        decoder = Decoder(song, path, ctx.progress, reading.accept_damaged)
        with WavWriter(folder / "song.wav") as out:
            for block in decoder:
                if decoder.seconds > ctx.settings.max_duration_sec:
                    raise too_long(path, decoder.seconds, ctx.settings)
                meter.add(block)
                levels.add(block)
                out.write(block)
        if decoder.seconds < ctx.settings.min_duration_sec:
            decoder.refuse_remains()
            raise AudioTooShort(f"{path} lasts {decoder.seconds:.2f} s; the least is {ctx.settings.min_duration_sec:g} s")
        if levels.peak < SILENCE_PEAK:
            raise AudioSilent(f"{path} is silent")
        repair = levels.repair()
        for warning in (*_warnings(path, song, decoder), *repair.warnings(levels.peak)):
            ctx.warn(warning)
        file_sha256 = known.sha256 if known is not None and known.holds() else file_identity(path)
        refuse_changed(path, file_sha256, identity)
        decoded = out.ref()
        if repair.changes:
            out = _repaired(out.path, folder / "analysed.wav", repair)
        ref = ctx.store.add(out.path, out.ref())
        return SongSource(
            report=StepReport(
                step="ingest",
                engine="pyav",
                seconds=round(time.perf_counter() - started, 3),
                warnings=tuple(ctx.warnings),
                flow_run=ctx.flow_run,
            ),
            song_id=decoded.sha256[:16],
            audio=ref,
            duration_sec=ref.duration_sec,
            tags=song.tags,
            loudness=meter.result(),
            file_sha256=file_sha256,
            file_bytes=path.stat().st_size,
            container=song.container.format.name,
            codec=song.stream.codec_context.codec.canonical_name,
            decoder=f"PyAV {version('av')}",
            original_sample_rate=song.stream.codec_context.sample_rate,
            original_channels=song.stream.codec_context.channels,
            decode_sha256=decoded.sha256 if repair.changes else None,
            gain_db=repair.gain_db,
            offset=repair.offset,
            channels=repair.channels,
            track=song.track.number,
            tracks=song.track.count,
            start_sec=decoder.start_sec,
        )


def _repaired(decoded: Path, target: Path, repair: Repair) -> WavWriter:
    """The decode with what was wrong with its levels put right, in place of the decode."""
    with WavWriter(target) as out:
        for block in blocks(decoded, 1 << 18):
            out.write(repair.apply(block))
    decoded.unlink()
    return out


def _warnings(path: Path, song: OpenSong, decoder: Decoder) -> Iterator[str]:
    """What a reader of the Song Map should know of how the file was read."""
    if song.track.warning:
        yield song.track.warning
    if decoder.cut is not None:
        yield f"The file {decoder.cut}; what there is of it was analysed, as was asked for"
    if decoder.damaged:
        yield f"{decoder.damaged} of {decoder.packets} packets of the file are damaged and were left out"
    if decoder.gaps:
        total, (first, _) = sum(length for _, length in decoder.gaps), decoder.gaps[0]
        places = f"in {len(decoder.gaps)} places, the first at" if len(decoder.gaps) > 1 else "at"
        yield f"{total:.2f} s of sound are missing in the file {places} {first:.2f} s, and are silence here, so that later times are true"
    for place, length in decoder.clock_jumps:
        yield f"The time stamps of the file jump by {length:.0f} s at {place:.2f} s; the sound before and after was joined"
    if song.declared_sec is not None:
        more = decoder.seconds - song.declared_sec
        if -more > padding_sec(song.stream.codec_context.sample_rate) or more > _LONGER_SEC + _LONGER_SHARE * song.declared_sec:
            yield f"The file says that it lasts {song.declared_sec:.2f} s; {decoder.seconds:.2f} s could be decoded, and were analysed"
    if "wav" in song.formats and (rates := wrong_byte_rate(path)) is not None:
        yield f"The file says that a second of it has {rates[0]} bytes; it has {rates[1]}, by its sample rate"
    if abs(decoder.start_sec) >= _LATE_SEC:
        yield (
            f"The sound begins at {decoder.start_sec:.3f} s on the file's own clock, as a player of the video shows it: "
            "the times here count from where the sound begins"
        )
