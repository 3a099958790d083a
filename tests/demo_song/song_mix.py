"""Mixing of the demo song: the voice in front, the band around it, and the encoded file."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import butter, correlate, fftconvolve, sosfilt, sosfiltfilt
from song_band import INSTRUMENTS, SAMPLE_RATE, render
from song_score import ARTIST, LICENCE, TITLE, Score
from song_voice import Singer, SungLine

Audio = NDArray[np.float64]

# FluidSynth sounds every note this much after its MIDI time (measured on the drum part).
SYNTH_DELAY_SEC = 0.0030
# Level of each part over the bars it sounds in (dB RMS), and its place from -1 (left) to 1 (right).
LEVELS_DB = {"voice": -16.0, "drums": -23.0, "bass": -24.0, "piano": -28.0, "guitar": -29.0, "pad": -34.0}
PANS = {"voice": 0.0, "drums": 0.0, "bass": 0.0, "piano": -0.25, "guitar": 0.4, "pad": 0.1}
REVERB_SENDS_DB = {"voice": -20.0, "drums": -22.0, "bass": -60.0, "piano": -16.0, "guitar": -16.0, "pad": -14.0}
DUCK_DB = 2.5
DUCKED = ("piano", "guitar", "pad")

VOICE_LOW_CUT_HZ = 110.0
VOICE_PRESENCE_HZ = (2000.0, 6000.0)
VOICE_PRESENCE_DB = 4.0
COMPRESSOR_RATIO = 3.0
COMPRESSOR_WINDOW_HZ = 6.0
REVERB_SEC = 1.1
REVERB_PRE_DELAY_SEC = 0.018
REVERB_SEED = 7
PEAK = 0.89
FADE_OUT_SEC = 0.5
VORBIS_QUALITY = 4.5
MAX_SHIFT_SEC = 0.001


def sing_all(score: Score) -> tuple[list[SungLine], Audio]:
    """Sing every line of the song. Return what was sung and the voice alone (mono, as long as the song)."""
    singer = Singer()
    voice = np.zeros(round(score.duration * SAMPLE_RATE))
    sung_lines = []
    for section in score.sections:
        for line in section.lines:
            sung, origin, samples = singer.sing(score, section, line)
            first = round(origin * SAMPLE_RATE)
            voice[first : first + len(samples)] += samples
            sung_lines.append(sung)
    return sung_lines, voice


def play_band(score: Score) -> dict[str, Audio]:
    """Every instrument alone (stereo), with the delay of the synthesiser taken out."""
    delay = round(SYNTH_DELAY_SEC * SAMPLE_RATE)
    parts = {}
    for instrument in INSTRUMENTS:
        played = render(score, instrument)
        parts[instrument.name] = np.concatenate([played[delay:], np.zeros((delay, 2))])
    return parts


def mix(voice: Audio, band: dict[str, Audio]) -> Audio:
    """Mix the voice with the band. Return stereo samples shaped (samples, 2)."""
    parts = {"voice": _polish_voice(voice), **band}
    presence = np.clip(_envelope(parts["voice"][:, 0]) / _decibels(LEVELS_DB["voice"]), 0.0, 1.0)
    room = _room()
    total = np.zeros_like(parts["voice"])
    for name, samples in parts.items():
        sound = _pan(samples * _decibels(LEVELS_DB[name]) / _active_rms(samples), PANS[name])
        if name in DUCKED:
            sound *= _decibels(-DUCK_DB * presence)[:, None]
        wet = np.stack([fftconvolve(sound[:, side], room[:, side])[: len(sound)] for side in (0, 1)], axis=1)
        total += sound + wet * _decibels(REVERB_SENDS_DB[name])
    return _finish(total)


def encode(samples: Audio, path: Path) -> None:
    """Write the song as Ogg Vorbis with its tags, and make sure that decoding it gives back the same times."""
    with tempfile.TemporaryDirectory() as folder:
        wave = Path(folder, "song.wav")
        soundfile.write(wave, samples, SAMPLE_RATE, subtype="PCM_24")
        tags = {"title": TITLE, "artist": ARTIST, "license": LICENCE}
        command = ["ffmpeg", "-y", "-v", "error", "-i", str(wave), "-map_metadata", "-1"]
        for name, value in tags.items():
            command += ["-metadata", f"{name}={value}"]
        command += ["-c:a", "libvorbis", "-q:a", str(VORBIS_QUALITY), "-flags", "+bitexact", "-fflags", "+bitexact"]
        subprocess.run([*command, "-serial_offset", "1", str(path)], check=True)
    decoded, rate = soundfile.read(path, dtype="float64", always_2d=True)
    shift = time_shift(samples.mean(axis=1), decoded.mean(axis=1), rate)
    if rate != SAMPLE_RATE or abs(shift) > MAX_SHIFT_SEC:
        raise RuntimeError(f"the encoded song is shifted by {shift * 1000:.2f} ms at {rate} Hz")


def time_shift(reference: Audio, other: Audio, rate: int) -> float:
    """Seconds by which `other` lags behind `reference`."""
    size = min(len(reference), len(other))
    likeness = correlate(other[:size], reference[:size], mode="full", method="fft")
    return (int(np.argmax(likeness)) - (size - 1)) / rate


def _decibels(level: float | Audio) -> Audio:
    return np.power(10.0, np.asarray(level) / 20.0)


def _envelope(samples: Audio) -> Audio:
    """Slowly moving RMS level of a signal."""
    low_pass = butter(2, COMPRESSOR_WINDOW_HZ, "lowpass", fs=SAMPLE_RATE, output="sos")
    return np.sqrt(np.maximum(sosfiltfilt(low_pass, samples**2), 1e-12))


def _active_rms(samples: Audio) -> float:
    power = (samples**2).mean(axis=1)
    level = _envelope(samples.mean(axis=1))
    return float(np.sqrt(power[level > 0.1 * level.max()].mean()))


def _polish_voice(voice: Audio) -> Audio:
    """Cut rumble, lift the range of the consonants, even out the loudness. Mono in, stereo out."""
    sound = sosfilt(butter(2, VOICE_LOW_CUT_HZ, "highpass", fs=SAMPLE_RATE, output="sos"), voice)
    band = butter(1, VOICE_PRESENCE_HZ, "bandpass", fs=SAMPLE_RATE, output="sos")
    sound = sound + (_decibels(VOICE_PRESENCE_DB) - 1.0) * sosfiltfilt(band, sound)
    level = _envelope(sound)
    loud = np.maximum(level, 0.25 * float(np.percentile(level, 95)))
    sound = sound * loud ** (1.0 / COMPRESSOR_RATIO - 1.0)
    return np.stack([sound, sound], axis=1)


def _pan(sound: Audio, place: float) -> Audio:
    return sound * np.array([min(1.0, 1.0 - place), min(1.0, 1.0 + place)])


def _room() -> Audio:
    """A small room: stereo noise that dies away, without its lowest and highest parts."""
    size = round(REVERB_SEC * SAMPLE_RATE)
    noise = np.random.default_rng(REVERB_SEED).standard_normal((size, 2))
    noise = sosfilt(butter(2, (250.0, 6000.0), "bandpass", fs=SAMPLE_RATE, output="sos"), noise, axis=0)
    noise *= np.exp(-6.9 * np.arange(size) / size)[:, None]
    noise /= np.sqrt((noise**2).sum(axis=0))
    return np.concatenate([np.zeros((round(REVERB_PRE_DELAY_SEC * SAMPLE_RATE), 2)), noise])


def _finish(total: Audio) -> Audio:
    """Round off the highest peaks, set the level and fade out the end."""
    knee = 3.5 * float(np.sqrt((total**2).mean()))
    rounded = knee * np.tanh(total / knee)
    rounded *= PEAK / np.abs(rounded).max()
    fade = round(FADE_OUT_SEC * SAMPLE_RATE)
    rounded[-fade:] *= np.linspace(1.0, 0.0, fade)[:, None]
    return rounded
