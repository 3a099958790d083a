"""Sound in every form: what goes in comes out, at its time, within the form's resolution."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from schemas.sound_format import SoundFormat
from tasks.common import audio_forms
from tasks.common.audio_forms import FORMS, common_gain_db, encode

RATE = 44100
LOSSLESS = [form for form in SoundFormat if form not in (SoundFormat.mp3, SoundFormat.opus)]
#: RMS of what a form adds (1 is full scale): half an LSB of dither and rounding; a uniform error of 24 bits; what codecs change.
LOSS = {
    SoundFormat.flac16: 0.51 * 2**-15,
    SoundFormat.wav16: 0.51 * 2**-15,
    SoundFormat.flac24: 0.3 * 2**-23,
    SoundFormat.wav24: 0.3 * 2**-23,
    SoundFormat.wav_float: 0.0,
    SoundFormat.mp3: 0.01,
    SoundFormat.opus: 0.03,
}


def written(folder: Path, samples: np.ndarray, name: str = "in.wav", rate: int = RATE) -> Path:
    soundfile.write(folder / name, samples.astype(np.float32), rate, subtype="FLOAT")
    return folder / name


def music(seed: int, seconds: float = 2.0, level: float = 0.2) -> np.ndarray:
    """Tones with noise, other ones in each channel."""
    noise = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    tones = [np.sin(2 * np.pi * pitch * time) for pitch in noise.uniform(100, 3000, 2)]
    return (level * (np.stack(tones, axis=1) + 0.1 * noise.standard_normal((len(time), 2)))).astype(np.float32)


def heard_by_ffmpeg(path: Path) -> np.ndarray:
    """(frames, channels) at 44.1 kHz, as FFmpeg reads it."""
    with av.open(str(path)) as file:
        resampler = av.AudioResampler(format="fltp", rate=RATE)
        frames = [part.to_ndarray() for frame in file.decode(audio=0) for part in resampler.resample(frame)]
        return np.concatenate([*frames, *(part.to_ndarray() for part in resampler.resample(None))], axis=1).T


@pytest.mark.parametrize("form", SoundFormat)
def test_every_form_is_read_as_it_was_written(tmp_path: Path, form: SoundFormat) -> None:
    samples = music(1)
    target = tmp_path / f"out.{form.ending}"
    encode(written(tmp_path, samples), target, form)
    for heard in (heard_by_ffmpeg(target), np.concatenate(list(audio_forms.blocks(target, RATE)))):
        assert abs(len(heard) - len(samples)) <= 1
        length = min(len(heard), len(samples))
        error = (heard[:length] - samples[:length])[100 : length - 100]
        assert np.sqrt(np.mean(np.square(error))) <= LOSS[form] + 1e-9


@pytest.mark.parametrize("form", LOSSLESS)
def test_a_form_without_loss_has_the_length_to_the_sample(tmp_path: Path, form: SoundFormat) -> None:
    samples = music(2, seconds=70001 / RATE)
    encode(written(tmp_path, samples), tmp_path / "out", form)
    info = soundfile.info(tmp_path / "out")
    assert (info.frames, info.samplerate, info.channels) == (70001, RATE, 2)
    assert info.subtype == ("FLOAT" if FORMS[form].bits is None else f"PCM_{FORMS[form].bits}")


@pytest.mark.parametrize("form", SoundFormat)
def test_the_same_samples_give_the_same_bytes(tmp_path: Path, form: SoundFormat) -> None:
    source = written(tmp_path, music(3, seconds=0.5))
    encode(source, tmp_path / "a", form)
    encode(source, tmp_path / "b", form)
    first, second = (tmp_path / "a").read_bytes(), (tmp_path / "b").read_bytes()
    if form is SoundFormat.opus:  # an Ogg stream has a random serial number
        assert np.array_equal(soundfile.read(tmp_path / "a")[0], soundfile.read(tmp_path / "b")[0])
    else:
        assert first == second


def test_stems_louder_than_full_scale_still_add_up(tmp_path: Path) -> None:
    """What a voice exceeds the mix by is taken off elsewhere: each file alone is beyond full scale, their sum is not."""
    voice = music(4, level=1.3)
    rest = music(5, level=0.3) - voice
    paths = [written(tmp_path, voice, "voice.wav"), written(tmp_path, rest, "rest.wav")]
    gain = common_gain_db(paths)
    highest = max(np.abs(voice).max(), np.abs(rest).max())
    assert -0.02 < 20 * np.log10(highest) + gain <= 0.0
    heard = []
    for nth, path in enumerate(paths):
        encode(path, tmp_path / f"{nth}.flac", SoundFormat.flac16, gain)
        heard.append(soundfile.read(tmp_path / f"{nth}.flac")[0])
    error = sum(heard) / 10 ** (gain / 20) - (voice + rest)
    assert np.abs(error).max() < 2 * 2.1 * 2**-15 / 10 ** (gain / 20)


def test_the_noise_of_two_files_is_not_the_same_noise(tmp_path: Path) -> None:
    errors = []
    for seed in (6, 7):
        samples = music(seed)
        encode(written(tmp_path, samples), tmp_path / "out", SoundFormat.wav16)
        errors.append((soundfile.read(tmp_path / "out")[0] - samples).ravel())
    assert abs(np.corrcoef(errors[0], errors[1])[0, 1]) < 0.01


def test_a_tone_below_the_last_bit_is_still_heard_in_16_bits(tmp_path: Path) -> None:
    """Without dither it would be silence, or a square wave."""
    tone = 0.4 * 2**-15 * np.sin(2 * np.pi * 1000 * np.arange(10 * RATE) / RATE)
    encode(written(tmp_path, np.stack([tone, tone], axis=1)), tmp_path / "out", SoundFormat.flac16)
    heard = soundfile.read(tmp_path / "out")[0][:, 0]
    assert np.dot(heard, tone) / np.dot(tone, tone) == pytest.approx(1.0, abs=0.05)


def test_digital_silence_stays_silent(tmp_path: Path) -> None:
    samples = music(8)
    samples[10000:60000] = 0.0
    encode(written(tmp_path, samples), tmp_path / "out", SoundFormat.flac16)
    assert not soundfile.read(tmp_path / "out")[0][10000:60000].any()


def test_what_is_not_too_loud_keeps_its_level(tmp_path: Path) -> None:
    assert common_gain_db([written(tmp_path, np.array([[1.0, -1.0]]))]) == 0.0
    assert common_gain_db([]) == 0.0
    assert common_gain_db([written(tmp_path, np.array([[2.0, 0.0]]))]) == -6.03


def test_floats_keep_what_is_beyond_full_scale(tmp_path: Path) -> None:
    samples = music(9, level=3.0)
    encode(written(tmp_path, samples), tmp_path / "out", SoundFormat.wav_float)
    assert np.array_equal(soundfile.read(tmp_path / "out", dtype="float32")[0], samples)


@pytest.mark.parametrize("form", SoundFormat)
def test_a_short_file_and_mono_are_written_too(tmp_path: Path, form: SoundFormat) -> None:
    for nth, frames in enumerate((1, 3000) if form in LOSSLESS else (3000,)):
        encode(written(tmp_path, np.full((frames, 1), 0.25)), tmp_path / f"{nth}.{form.ending}", form)
        heard, rate = soundfile.read(tmp_path / f"{nth}.{form.ending}", always_2d=True)
        assert heard.shape == (pytest.approx(frames * rate / RATE, abs=1), 1)


def test_the_sum_of_files_is_written_as_floats(tmp_path: Path) -> None:
    first, second = music(10, level=0.9), music(11, level=0.9)
    paths = [written(tmp_path, first, "a.wav"), written(tmp_path, second[:-100], "b.wav")]
    audio_forms.mix(paths, tmp_path / "mix.wav")
    second[-100:] = 0.0
    assert np.array_equal(soundfile.read(tmp_path / "mix.wav", dtype="float32")[0], first + second)


def test_blocks_of_another_rate_come_at_the_rate_that_is_asked_for(tmp_path: Path) -> None:
    time = np.arange(3 * 48000) / 48000
    tone = np.sin(2 * np.pi * 440 * time)
    source = written(tmp_path, np.stack([tone, tone], axis=1), rate=48000)
    found = list(audio_forms.blocks(source, RATE, frames=10000))
    assert {len(block) for block in found[:-1]} == {10000}
    heard = np.concatenate(found)
    assert abs(len(heard) - 3 * RATE) <= 1
    expected = np.sin(2 * np.pi * 440 * np.arange(len(heard)) / RATE)
    assert np.abs(heard[500:-500, 0] - expected[500:-500]).max() < 1e-3
