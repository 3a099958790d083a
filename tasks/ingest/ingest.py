"""From a file to the decode every other step reads."""

from __future__ import annotations

import time
from importlib.metadata import version
from pathlib import Path

from schemas.results import SongSource, StepReport
from tasks.common.audio import WavWriter
from tasks.common.errors import AudioSilent, AudioTooShort
from tasks.common.step import StepContext
from tasks.ingest.checks import file_identity, refuse_changed, refuse_early, too_long
from tasks.ingest.container import opened
from tasks.ingest.decode_audio import Decoder
from tasks.ingest.head_start import HeadStart
from tasks.ingest.lengths import padding_sec
from tasks.ingest.loudness import LoudnessMeter

#: Raised whenever a song would be decoded to something else.
VERSION = 1

#: A song whose largest sample is below this is silent (-80 dBFS).
SILENCE_PEAK = 1e-4


def ingest_song(path: Path, ctx: StepContext, identity: str | None = None, known: HeadStart | None = None) -> SongSource:
    """Decode a song to 44.1 kHz stereo into the store, and read what the file says of itself.

    identity: SHA-256 of the file's bytes when it was asked for; a file that is another one by the end of the decode is refused.
    known: what was found out about the file before; if that is its decode, it is the answer.
    Raises an AudioError for anything that cannot be analysed, and then leaves nothing behind; StorageError.
    """
    started = time.perf_counter()
    if known is None:
        refuse_early(path, ctx.settings)
    elif known.source is not None and known.sha256 == identity and ctx.store.exists(known.source.audio):
        return known.source.model_copy(update={"report": known.source.report.model_copy(update={"flow_run": ctx.flow_run})})
    meter = LoudnessMeter()
    with opened(path) as song, ctx.store.temporary_dir() as folder:
        decoder = Decoder(song, path, ctx.progress)
        with WavWriter(folder / "song.wav") as out:
            for block in decoder:
                if decoder.seconds > ctx.settings.max_duration_sec:
                    raise too_long(path, decoder.seconds, ctx.settings)
                meter.add(block)
                out.write(block)
        if decoder.seconds < ctx.settings.min_duration_sec:
            raise AudioTooShort(f"{path} lasts {decoder.seconds:.2f} s; the least is {ctx.settings.min_duration_sec:g} s")
        if meter.peak < SILENCE_PEAK:
            raise AudioSilent(f"{path} is silent")
        if decoder.damaged:
            ctx.warn(f"{decoder.damaged} of {decoder.packets} packets of the file are damaged and were left out")
        if decoder.missing_sec > padding_sec(song.stream.codec_context.sample_rate):
            ctx.warn(f"{decoder.missing_sec:.2f} s of the sound that the file declares are missing")
        file_sha256 = known.sha256 if known is not None and known.holds() else file_identity(path)
        refuse_changed(path, file_sha256, identity)
        ref = ctx.store.add(out.path, out.ref())
        return SongSource(
            report=StepReport(
                step="ingest",
                engine="pyav",
                seconds=round(time.perf_counter() - started, 3),
                warnings=tuple(ctx.warnings),
                flow_run=ctx.flow_run,
            ),
            song_id=ref.sha256[:16],
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
        )
