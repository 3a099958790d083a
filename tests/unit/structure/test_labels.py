"""Groups and names of sections."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tasks.structure.features import BarFeatures
from tasks.structure.labels import (
    SectionFacts,
    gather_facts,
    group_sections,
    harmonic_variety,
    join_neighbours,
    letter,
    make_sections,
    name_sections,
    one_section,
    same_words,
    tells_sections,
)
from tasks.structure.segmentation import phrase_similarity

CHORUS = ["sing", "it", "loud", "sing", "it", "proud"]


def words_for(form: str, sec: float) -> list[tuple[float, str]]:
    words: list[tuple[float, str]] = []
    for index, kind in enumerate(form):
        text = {"V": [f"verse{index}{k}" for k in range(6)], "C": CHORUS, "B": ["once", "only", "here"]}.get(kind, [])
        words += [(index * sec + 1 + k, word) for k, word in enumerate(text)]
    return words


def analyse(bars: BarFeatures, form: str, bars_each: int = 8) -> list[str]:
    boundaries = [bars_each * i for i in range(len(form) + 1)]
    groups = group_sections(phrase_similarity(bars), boundaries)
    facts = gather_facts(bars, boundaries, groups, words_for(form, bars_each * 2.0))
    return [label for label, _ in name_sections(facts)]


def test_the_parts_of_a_pop_song_get_their_names(song: Callable[..., BarFeatures]) -> None:
    assert analyse(song("IVCVCBCI"), "IVCVCBCI") == ["intro", "verse", "chorus", "verse", "chorus", "bridge", "chorus", "outro"]


def test_a_loud_part_without_voice_in_the_second_half_is_a_solo(song: Callable[..., BarFeatures]) -> None:
    assert analyse(song("VCVCSC"), "VCVCSC")[4] == "solo"


def test_an_instrumental_song_has_no_verse_and_no_chorus(song: Callable[..., BarFeatures]) -> None:
    labels = analyse(song("ISIS"), "ISIS")
    assert set(labels) <= {"intro", "outro", "instrumental"}


def test_without_voice_activity_the_words_say_what_is_sung(song: Callable[..., BarFeatures]) -> None:
    assert analyse(song("IVCVC", vocal_known=False), "IVCVC") == ["intro", "verse", "chorus", "verse", "chorus"]


def test_without_voice_and_words_only_what_comes_back_has_a_function(song: Callable[..., BarFeatures]) -> None:
    bars = song("VCVCB", vocal_known=False)
    boundaries = [0, 8, 16, 24, 32, 40]
    facts = gather_facts(bars, boundaries, group_sections(phrase_similarity(bars), boundaries), [])
    assert [label for label, _ in name_sections(facts)] == ["verse", "chorus", "verse", "chorus", "section"]


def test_what_is_sung_once_is_no_chorus(song: Callable[..., BarFeatures]) -> None:
    assert "chorus" not in analyse(song("V"), "V")
    assert "chorus" not in analyse(song("IVB"), "IVB")


def unvaried(vocal: float, harmony: np.ndarray) -> BarFeatures:
    """Sixteen bars with one harmony (48 values) and quickly changing timbre."""
    rng = np.random.default_rng(0)
    return BarFeatures(
        np.arange(17) * 2.0, np.tile(harmony, (16, 1)), rng.normal(size=(16, 13)), rng.normal(size=(16, 1)), np.full(16, vocal)
    )


@pytest.mark.parametrize("vocal", [0.0, np.nan])
@pytest.mark.parametrize("harmony", [np.full(48, 12**-0.5), np.eye(12)[[0] * 4].ravel(), np.zeros(48)], ids=["noise", "click", "silence"])
def test_noise_a_click_and_silence_are_one_section_without_a_function(vocal: float, harmony: np.ndarray) -> None:
    bars = unvaried(vocal, harmony)
    assert not tells_sections(bars)
    assert [(s.start, s.end, s.label) for s in one_section(bars)] == [(0.0, 32.0, "section")]


def test_a_voice_or_chords_that_change_tell_sections_apart(song: Callable[..., BarFeatures]) -> None:
    assert tells_sections(unvaried(0.9, np.zeros(48)))
    assert tells_sections(song("IIII"))
    assert harmonic_variety(song("IIII")) > 0.2


def test_repeated_sections_share_a_group(song: Callable[..., BarFeatures]) -> None:
    similarity = phrase_similarity(song("IVCVC"))
    assert group_sections(similarity, [0, 8, 16, 24, 32, 40]) == [0, 1, 2, 1, 2]
    assert group_sections(similarity, [0, 40]) == [0]


def test_same_words_compares_texts_pair_by_pair() -> None:
    def fact(*words: str) -> SectionFacts:
        return SectionFacts(0.0, 1.0, 4, 0, 0.0, 1.0, words)

    assert same_words([fact("a", "b"), fact("a", "b")]) == 1.0
    assert same_words([fact("a", "b"), fact("c", "d")]) == 0.0
    assert same_words([fact("a")]) == 0.0


def test_neighbours_of_one_label_are_joined_if_they_repeat_or_are_short() -> None:
    verse, chorus = ("verse", 0.5), ("chorus", 0.5)
    assert join_neighbours((0, 8, 16, 24), [0, 0, 1], [verse, verse, chorus]) == (0, 16, 24)
    assert join_neighbours((0, 8, 16, 24), [0, 2, 1], [verse, verse, chorus]) == (0, 8, 16, 24)
    assert join_neighbours((0, 8, 12, 24), [0, 2, 1], [verse, verse, chorus]) == (0, 12, 24)
    assert join_neighbours((0, 16, 32), [0, 0], [verse, verse]) == (0, 16, 32)


def test_sections_are_numbered_within_their_label() -> None:
    facts = [SectionFacts(float(i), i + 1.0, 4, group, 0.0, 1.0, ()) for i, group in enumerate((0, 1, 0))]
    sections = make_sections(facts, [("verse", 0.5), ("chorus", 0.9), ("verse", 0.5)])
    assert [(s.label, s.index, s.group) for s in sections] == [("verse", 1, "A"), ("chorus", 1, "B"), ("verse", 2, "A")]


@pytest.mark.parametrize(("index", "name"), [(0, "A"), (25, "Z"), (26, "AA"), (701, "ZZ"), (702, "AAA")])
def test_letters_go_on_after_z(index: int, name: str) -> None:
    assert letter(index) == name


def test_level_is_relative_to_the_song(song: Callable[..., BarFeatures]) -> None:
    facts = gather_facts(song("VC"), [0, 8, 16], [0, 1], [])
    assert facts[0].level == pytest.approx(-4.0, abs=0.5)
    assert facts[1].level == pytest.approx(4.0, abs=0.5)
    assert np.isclose(facts[0].sung or 0, 0.9)
