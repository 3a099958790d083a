"""What the network takes and says, for those who only use it: nothing here needs torch."""

from __future__ import annotations

from typing import Final

from schemas.results import StemName

#: The order in which the network expects the stems.
INSTRUMENTS: Final[tuple[StemName, ...]] = ("bass", "drums", "other", "vocals")
#: Bands of a frame's spectrum.
BANDS: Final = 81
#: What a section can be, in the order of the network's answers (the labels of the Harmonix set, Nieto et al., ISMIR 2019).
FUNCTIONS: Final = ("start", "end", "intro", "outro", "break", "bridge", "inst", "solo", "verse", "chorus")
