"""The styles of the made songs, as tables by family.

Nothing tells a listener where a bar begins in every style: kicks, bass roots, crashes and chord changes are early, late or missing in some.
"""

from __future__ import annotations

from typing import Final

from tasks.evaluation.datasets.made.styles import blues, caribbean, dance, folk, jazz, latin, meters, rock, soul, written
from tasks.evaluation.datasets.made.styles.table import Style

STYLES: Final[dict[str, Style]] = {
    **rock.STYLES,
    **dance.STYLES,
    **soul.STYLES,
    **caribbean.STYLES,
    **jazz.STYLES,
    **latin.STYLES,
    **blues.STYLES,
    **folk.STYLES,
    **written.STYLES,
    **meters.STYLES,
}
