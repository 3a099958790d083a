"""Progressions that styles share, as harmony.py reads them."""

from __future__ import annotations

POP = (
    "1:maj|5:maj|6:min|4:maj",
    "6:min|4:maj|1:maj|5:maj",
    "1:maj|6:min|4:maj|5:maj",
    "4:maj|1:maj|5:maj|6:min",
    "1:maj|5:maj/3|6:min|4:maj",
    "1:maj|3:min|4:maj|5:maj",
    "1:maj|%|4:maj|%|6:min|%|5:maj|%",
    "1:maj 5:maj/3|6:min 5:maj|4:maj 1:maj/3|2:min7 5:7",
    "4:maj 5:maj|3:min 6:min|2:min 5:maj|1:maj",
    "1:maj|2:min|4:maj|1:maj",
)
ROCK = (
    "1:maj|4:maj|5:maj|4:maj",
    "1:maj|b7:maj|4:maj|1:maj",
    "1:maj|%|4:maj|1:maj|5:maj|4:maj|1:maj|5:maj",
    "1:maj|4:maj|6:min|5:maj",
    "1:maj 4:maj|5:maj 4:maj|1:maj 4:maj|5:maj",
)
MINOR = (
    "1:min|b6:maj|b3:maj|b7:maj",
    "1:min|b7:maj|b6:maj|b7:maj",
    "1:min|4:min|5:7|1:min",
    "1:min|b7:maj|b6:maj|5:maj",
    "1:min|%|b6:maj|b7:maj",
    "b6:maj|b7:maj|1:min|%",
)
POWER_MINOR = ("1:5|b6:5|b3:5|b7:5", "1:5|%|b6:5|b7:5", "1:5 b3:5|4:5 b6:5|1:5 b3:5|b7:5", "1:5|1:5 b2:5|1:5|b7:5 b6:5")
SOUL = ("1:maj7|6:min7|2:min7|5:7", "2:min7|5:9|1:maj7|6:min7", "1:maj7|4:maj7|3:min7|6:min7|2:min7|5:sus4", "4:maj7|3:min7|2:min7|1:maj7")
DORIAN = ("1:min7|4:7|1:min7|4:7", "1:min7|%|4:9|%", "1:min7|b7:maj|4:7|1:min7")
JAZZ = (
    "2:min7|5:7|1:maj7|6:7",
    "1:maj7 6:min7|2:min7 5:7|3:min7 6:7|2:min7 5:7|1:maj7 1:7|4:maj7 4:min6|3:min7 6:7|2:min7 5:7",
    "1:maj7|6:7|2:min7|5:7|3:min7|6:7|2:min7 5:7|1:maj6",
    "1:maj7|%|2:7|%|2:min7|5:7|1:maj7|2:min7 5:7",
)
JAZZ_MINOR = ("1:min7|2:hdim7 5:7|1:min7|%", "1:min6|4:min7|2:hdim7|5:7", "4:min7|b7:7|b3:maj7|b6:maj7|2:hdim7|5:7|1:min6|%")
BLUES = ("1:7|4:7|1:7|%|4:7|%|1:7|%|5:7|4:7|1:7|5:7", "1:7|%|%|%|4:7|%|1:7|%|5:7|%|1:7|%")
COUNTRY = ("1:maj|%|4:maj|1:maj|5:maj|%|1:maj|%", "1:maj|4:maj|1:maj|5:maj|1:maj|4:maj|1:maj 5:maj|1:maj", "1:maj|6:min|4:maj|5:7")
MIXO = ("1:maj|b7:maj|4:maj|1:maj", "1:maj|%|b7:maj|4:maj", "1:maj|b7:maj|1:maj|b7:maj")
CLASSICAL = (
    "1:maj|5:7|1:maj|4:maj|1:maj/5|5:7|1:maj|5:maj",
    "1:maj|6:min|2:min/b3|5:7|1:maj|4:maj|5:7|1:maj",
    "1:maj 4:maj|1:maj/3 5:7|6:min 2:min|5:sus4 5:7",
    "1:maj|5:maj/3|6:min|3:min/b3|4:maj|1:maj/3|2:min7|5:7",
)
CLASSICAL_MINOR = (
    "1:min|4:min|5:7|1:min|b6:maj|4:min|5:7|1:min",
    "1:min 5:maj/3|1:min/b3 4:min|1:min/5 5:7|1:min",
    "1:min|7:dim7|1:min|5:7",
)
CIRCLE = ("1:min7|4:min7|b7:7|b3:maj7|b6:maj7|2:hdim7|5:7|1:min7",)
