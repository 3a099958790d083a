"""Real encoded files, made with FFmpeg's own encoders."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

#: Ending: (container, encoder, encoder options).
FORMATS = {
    "wav": ("wav", "pcm_s16le"),
    "flac": ("flac", "flac"),
    "mp3": ("mp3", "libmp3lame"),
    "ogg": ("ogg", "flac"),  # FFmpeg here writes no Vorbis; the demo song is some
    "opus": ("ogg", "libopus"),
    "m4a": ("ipod", "aac"),
    "aiff": ("aiff", "pcm_s16be"),
    "mp4": ("mp4", "aac"),
    "webm": ("webm", "libopus"),
    "mkv": ("matroska", "aac"),
}


def music(seconds: float, rate: int, channels: int) -> np.ndarray:
    """(channels, frames) of two tones whose level moves, so that a shift in time shows."""
    time = np.arange(int(seconds * rate)) / rate
    level = 0.3 + 0.2 * np.sin(2 * np.pi * 1.7 * time)
    left = level * np.sin(2 * np.pi * 330 * time)
    right = level * np.sin(2 * np.pi * 440 * time)
    return np.stack([left, right, *[left] * max(0, channels - 2)][:channels]).astype(np.float32)


@pytest.fixture
def encode(tmp_path: Path) -> Callable[..., Path]:
    """encode("mp3", seconds=3.0, tags={...}, name=...): write a file and return its path."""

    def write(
        ending: str,
        seconds: float = 3.0,
        rate: int = 48000,
        channels: int = 2,
        samples: np.ndarray | None = None,
        tags: dict[str, str] | None = None,
        name: str | None = None,
        encoder: str | None = None,
        picture: bool = False,
        sound: bool = True,
    ) -> Path:
        path = tmp_path / (name or f"song.{ending}")
        container, codec = FORMATS[ending]
        data = music(seconds, rate, channels) if samples is None else samples
        with av.open(str(path), "w", format=container) as out:
            out.metadata.update(tags or {})
            video = None
            if picture:
                video = out.add_stream("mpeg4", rate=Fraction(5))
                video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
            if sound:
                layout = {1: "mono", 2: "stereo", 6: "5.1"}[channels]
                stream = out.add_stream(encoder or codec, rate=rate, layout=layout)
                size = stream.codec_context.frame_size or 1024
                float_in = (encoder or codec) == "pcm_f32le"
                resampler = av.AudioResampler(format=stream.codec_context.format, layout=layout, rate=rate)
                for start in range(0, data.shape[1], size):
                    packed = np.ascontiguousarray(data[:, start : start + size].T).reshape(1, -1)
                    frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
                    frame.sample_rate, frame.pts = rate, start
                    for ready in [frame] if float_in else resampler.resample(frame):
                        out.mux(stream.encode(ready))
                out.mux(stream.encode(None))
            if video is not None:
                for index in range(int(5 * seconds)):
                    image = av.VideoFrame.from_ndarray(np.full((64, 64, 3), index % 255, np.uint8), format="rgb24")
                    out.mux(video.encode(image))
                out.mux(video.encode(None))
        return path

    return write
