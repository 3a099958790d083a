"""Lyrics of the demo song, from Spleeter's real stems, by the best Whisper at hand; by OpenAI's package with a network never trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from difflib import SequenceMatcher
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from at_hand import WHISPER

from schemas.plan import EngineChoice, StepPlan
from schemas.results import AudioRef, Lyrics, SongSource, StemSet
from tasks.asr.guards import plain
from tasks.asr.transcribe import transcribe_lyrics
from tasks.common import models
from tasks.common.audio import WavWriter
from tasks.common.settings import get_settings, reset_settings
from tasks.common.step import StepContext
from tasks.common.storage.artifacts import ArtifactStore
from tasks.separation.separate import separate_song

DEMO = Path(__file__).parents[1] / "demo_song" / "demo_song.ogg"
#: Intro, the first verse and the first chorus.
END = 48.0

multilingual = pytest.mark.skipif(WHISPER == "tiny.en", reason="no package with a multilingual Whisper is installed")


@pytest.fixture(scope="module")
def ctx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StepContext]:
    folder = tmp_path_factory.mktemp("asr")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERFORMIA_DATA_DIR", str(folder))
        patch.setenv("PERFORMIA_OFFLINE", "true")
        patch.setenv("PERFORMIA_DEVICE", "cpu")
        reset_settings()
        for name in ("spleeter-2stems", f"whisper-{WHISPER}"):
            if models.find(name) is None:
                pytest.skip(f"the package with {name} is not installed")
        yield StepContext(store=ArtifactStore(str(folder / "store"), folder / "scratch"), settings=get_settings())
    reset_settings()


def stored(audio: np.ndarray, ctx: StepContext) -> AudioRef:
    with ctx.store.temporary_dir() as folder:
        with WavWriter(folder / "mix.wav") as out:
            out.write(audio)
        return ctx.store.add(out.path, out.ref())


def separate(source: SongSource, ctx: StepContext) -> StemSet:
    return separate_song(source, StepPlan(step="separation", chain=(EngineChoice(engine="spleeter"),)), ctx)


def plan(*names: str, language: str | None = None) -> StepPlan:
    chain = tuple(EngineChoice(engine="faster-whisper", models=(models.expected_use(name),)) for name in names)
    return StepPlan(step="asr", chain=chain, options={"language": language})


@pytest.fixture(scope="module")
def excerpt(ctx: StepContext, source_from: Callable[[AudioRef], SongSource]) -> tuple[SongSource, StemSet]:
    audio, _ = soundfile.read(DEMO, dtype="float32", always_2d=True, frames=round(END * 44100))
    source = source_from(stored(np.ascontiguousarray(np.broadcast_to(audio, (len(audio), 2)).T), ctx))
    return source, separate(source, ctx)


@pytest.fixture(scope="module")
def lyrics(excerpt: tuple[SongSource, StemSet], ctx: StepContext) -> Lyrics:
    return transcribe_lyrics(*excerpt, plan(f"whisper-{WHISPER}"), ctx)


@pytest.fixture
def sung(demo_truth: dict[str, Any]) -> list[dict[str, Any]]:
    return [word for line in demo_truth["lyrics"] for word in line["words"] if word["end"] < END]


def test_most_words_are_heard_and_at_the_right_time(lyrics: Lyrics, sung: list[dict[str, Any]]) -> None:
    heard = [word for line in lyrics.lines for word in line.words]
    matcher = SequenceMatcher(None, [plain(word["text"]) for word in sung], [plain(word.text) for word in heard], autojunk=False)
    pairs = [(a + i, b + i) for a, b, size in matcher.get_matching_blocks() for i in range(size)]
    assert len(pairs) >= 0.6 * len(sung)
    early_or_late = [abs(heard[b].start - sung[a]["start"]) for a, b in pairs]
    assert np.mean(np.asarray(early_or_late) < 0.3) >= 0.6
    assert np.median(early_or_late) < 0.25


def test_nothing_is_invented_and_words_stay_in_their_lines(lyrics: Lyrics, sung: list[dict[str, Any]]) -> None:
    words = [word for line in lyrics.lines for word in line.words]
    assert len(words) <= 1.2 * len(sung)
    assert words[0].start > sung[0]["start"] - 0.5
    assert all(line.start <= word.start < word.end <= line.end for line in lyrics.lines for word in line.words)
    assert all(before.end <= after.start for before, after in pairwise(words))
    assert all(word.text == word.text.strip() != "" for word in words)


def test_the_voice_is_found_where_it_sings(lyrics: Lyrics, sung: list[dict[str, Any]]) -> None:
    inside = [any(span.start <= (word["start"] + word["end"]) / 2 <= span.end for span in lyrics.voice_activity) for word in sung]
    assert np.mean(inside) >= 0.95
    assert lyrics.voice_activity[0].start > sung[0]["start"] - 1.0


def test_the_song_without_its_voice_has_no_lyrics(
    excerpt: tuple[SongSource, StemSet], ctx: StepContext, source_from: Callable[[AudioRef], SongSource]
) -> None:
    karaoke = source_from(excerpt[1].instrumental)
    found = transcribe_lyrics(karaoke, separate(karaoke, ctx), plan(f"whisper-{WHISPER}"), ctx)
    assert (found.lines, found.language, found.voice_activity) == ((), None, ())


@multilingual
def test_the_language_is_told(lyrics: Lyrics) -> None:
    assert lyrics.language == "en"
    assert lyrics.language_confidence is not None
    assert lyrics.language_confidence > 0.9


@multilingual
def test_another_language_may_be_asked_for(excerpt: tuple[SongSource, StemSet], ctx: StepContext) -> None:
    found = transcribe_lyrics(*excerpt, plan(f"whisper-{WHISPER}", language="de"), ctx)
    assert (found.report.status, found.language) == ("ok", "de")
    assert found.lines


@multilingual
def test_a_cache_that_cannot_hold_the_larger_model_gives_way_to_the_smaller(
    excerpt: tuple[SongSource, StemSet], ctx: StepContext, data_dir: Path
) -> None:
    in_the_way = data_dir / "models" / "whisper-base"
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_bytes(b"")
    found = transcribe_lyrics(*excerpt, plan("whisper-base", "whisper-tiny.en"), ctx)
    assert (found.report.status, found.report.models[0].name) == ("degraded", "whisper-tiny.en")
    assert "Could not put whisper-base together" in found.report.degraded_because[0]
    assert found.lines


@pytest.mark.slow  # numba compiles the alignment first
def test_openais_package_decodes_quietly_and_always_the_same(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch")
    whisper = pytest.importorskip("whisper.model")
    from tasks.asr.openai_whisper_engine import OpenAIWhisper

    torch.manual_seed(0)
    dims = whisper.ModelDimensions(80, 1500, 64, 2, 1, 51864, 24, 64, 2, 1)  # at most 12 tokens a window: it babbles
    network = whisper.Whisper(dims)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    torch.save({"dims": vars(dims), "model_state_dict": network.state_dict()}, tmp_path / "own.pt")
    engine = OpenAIWhisper(tmp_path, "cpu")
    noise = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)
    first, second = list(engine.decode(noise, "en")), list(engine.decode(noise, "en"))
    assert first == second
    assert all(0 <= word.start <= word.end and 0 <= word.probability <= 1 for part in first for word in part.words)
    assert capfd.readouterr() == ("", "")
