"""The words of a text: case, diacritics and punctuation do not count, in any script."""

from __future__ import annotations

import pytest

from deployments.api.library.words import words


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Für Élise", ["fur", "elise"]),
        ("STRASSE Straße", ["strasse", "strasse"]),
        ("Don't, don’t dont", ["dont", "dont", "dont"]),
        ("Sigur Rós – Ágætis byrjun", ["sigur", "ros", "agaetis", "byrjun"]),
        ("Mötley Crüe: Dr. Feelgood!", ["motley", "crue", "dr", "feelgood"]),
        ("ｆｕｌｌ ｗｉｄｔｈ １２", ["full", "width", "12"]),
        ("ёлка ЁЛКА", ["елка", "елка"]),
        ("Ἀθῆναι", ["αθηναι"]),
        ("שָׁלוֹם", ["שלום"]),
        ("सत्यमेव जयते", ["सत्यमेव", "जयते"]),
        ("東京 Tokyo事変", ["東", "京", "tokyo", "事", "変"]),
        ("がか", ["が", "か"]),
        ("사랑해요", ["사랑해요"]),
        ("กิน", ["กิ", "น"]),
        ("rock'n'roll-99_x", ["rocknroll", "99", "x"]),
        ("… ♥ \x00 \n", []),
    ],
)
def test_words(text: str, found: list[str]) -> None:
    assert words(text) == found
