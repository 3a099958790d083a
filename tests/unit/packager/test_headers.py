"""Headers of given lyrics name the sections in which their lines are sung."""

from __future__ import annotations

from schemas.results import AlignedLyrics, GivenHeader, GivenLyrics, LyricLine, Section, SectionLabel, StepReport
from tasks.packager.headers import named_by_headers


def section(start: float, end: float, label: SectionLabel, index: int = 1) -> Section:
    return Section(start=start, end=end, label=label, index=index, group="A", confidence=0.5)


SECTIONS = (
    section(0, 8, "intro"),
    section(8, 24, "chorus"),
    section(24, 40, "verse"),
    section(40, 56, "chorus", 2),
    section(56, 60, "outro"),
)


def lyrics(headers: list[tuple[float, str, SectionLabel | None]], lines: list[tuple[float, float]], fits: bool = True) -> AlignedLyrics:
    return AlignedLyrics(
        report=StepReport(step="align"),
        lines=tuple(LyricLine(start=start, end=end, text="la", confidence=0.5, words=()) for start, end in lines),
        given=GivenLyrics(
            fits=fits,
            words=9,
            agreement=0.9,
            headers=tuple(GivenHeader(start=start, text=text, label=label) for start, text, label in headers),
        ),
    )


def labels(found: tuple[Section, ...]) -> list[tuple[str, int]]:
    return [(part.label, part.index) for part in found]


def test_sections_are_called_as_the_headers_say_and_counted_anew() -> None:
    headers: list[tuple[float, str, SectionLabel | None]] = [
        (8.2, "Verse 1", "verse"),
        (24.5, "Chorus", "chorus"),
        (40.1, "Verse 2", "verse"),
    ]
    found = named_by_headers(SECTIONS, lyrics(headers, [(8.2, 15), (15, 23), (24.5, 39), (40.1, 55)]))
    assert labels(found) == [("intro", 1), ("verse", 1), ("chorus", 1), ("verse", 2), ("outro", 1)]
    assert [(part.start, part.end, part.group) for part in found] == [(part.start, part.end, part.group) for part in SECTIONS]


def test_a_line_that_reaches_into_the_next_section_does_not_name_it() -> None:
    found = named_by_headers(SECTIONS, lyrics([(8.2, "Verse", "verse")], [(8.2, 23), (23, 26)]))
    assert labels(found)[1:3] == [("verse", 1), ("verse", 2)]  # the third keeps its own name
    found = named_by_headers(SECTIONS, lyrics([(8.2, "Bridge", "bridge")], [(8.2, 23), (23, 26)]))
    assert labels(found)[1:3] == [("bridge", 1), ("verse", 1)]


def test_headers_of_no_known_function_and_lines_before_the_first_name_nothing() -> None:
    assert labels(named_by_headers(SECTIONS, lyrics([(8.2, "Bob", None)], [(8.2, 23)]))) == labels(SECTIONS)
    assert labels(named_by_headers(SECTIONS, lyrics([(40.1, "Verse", "verse")], [(8.2, 23)])))[1] == ("chorus", 1)


def test_lyrics_that_were_not_given_or_are_refused_change_nothing() -> None:
    assert named_by_headers(SECTIONS, None) == SECTIONS
    assert named_by_headers(SECTIONS, lyrics([(8.2, "Verse", "verse")], [(8.2, 23)], fits=False)) == SECTIONS
    assert named_by_headers((), lyrics([(8.2, "Verse", "verse")], [(8.2, 23)])) == ()
