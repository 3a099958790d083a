"""Errors are named, coded and say what to do."""

import pickle

import pytest

from tasks.common.errors import AudioTooShort, ModelDownloadFailed, PerformiaError, SongMapInvalid, all_errors


def test_codes_are_unique_and_upper_snake_case() -> None:
    codes = [error.code for error in all_errors()]
    assert len(set(codes)) == len(codes)
    assert all(code.isupper() and code.replace("_", "").isalpha() for code in codes)


def test_what_others_derive_is_not_listed() -> None:
    class OfTheBenchmark(ModelDownloadFailed):
        code = "OF_THE_BENCHMARK"

    assert OfTheBenchmark in ModelDownloadFailed.__subclasses__()
    assert OfTheBenchmark not in all_errors()


def test_text_has_code_what_and_what_to_do() -> None:
    assert str(AudioTooShort("song.wav lasts 0.2 s.")) == (
        "AUDIO_TOO_SHORT: song.wav lasts 0.2 s. Give a longer file, or lower PERFORMIA_MIN_DURATION_SEC."
    )


@pytest.mark.parametrize("kind", all_errors(), ids=lambda kind: kind.code)
def test_every_error_survives_pickling(kind: type[PerformiaError]) -> None:
    error = pickle.loads(pickle.dumps(kind("what happened")))
    assert str(error) == str(kind("what happened"))


def test_problems_survive_pickling() -> None:
    error = pickle.loads(pickle.dumps(SongMapInvalid("two problems", problems=("$.beats: a", "$.id: b"))))
    assert error.problems == ("$.beats: a", "$.id: b")


def test_only_what_may_pass_is_transient() -> None:
    assert ModelDownloadFailed("x").transient
    assert not AudioTooShort("x").transient
