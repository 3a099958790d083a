"""Logs that grew apart."""

from __future__ import annotations

import pytest

from schemas import corrections as c
from tasks.common.errors import CorrectionsInvalid
from tasks.corrections.log import joined

SONG = "0123456789abcdef"


def log(first: int, last: int) -> c.Corrections:
    operations = tuple(
        c.Operation.model_construct(
            id=f"{number:012x}", author="Ann", time="2026-01-02T03:04:05Z", song=SONG, change=c.TitleSet(title="Road")
        )
        for number in range(first, last)
    )
    return c.Corrections.model_construct(song=SONG, operations=operations)


def test_what_both_have_counts_once() -> None:
    assert len(joined(SONG, log(0, 3), None, log(2, 5)).operations) == 5


def test_two_logs_that_are_too_many_together_are_refused_in_words() -> None:
    with pytest.raises(CorrectionsInvalid, match=r"24000 .* at most 20000"):
        joined(SONG, log(0, 12_000), log(12_000, 24_000))
