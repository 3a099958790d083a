"""htdemucs for both sides of a race: the published weights where they are at hand; else its architecture with seeded random weights.

Its speed does not depend on their values. Run as a module it writes the random ones:
`python -m tests.performance.bench.htdemucs_weights FILE`.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Final

from tasks.common import models
from tests.performance.bench.processes import run

SIGNATURE: Final = "955717e8"
_FILE: Final = f"{SIGNATURE}-8726e21a.th"


def lay_out(ours: Path, theirs: Path, given: Path | None, environment: Mapping[str, str]) -> bool:
    """The same file in `ours`, a folder of models for Performia, and in `theirs`, a repository as demucs knows it. Whether it is published.

    given: a folder of models that may have it. Raises BenchmarkFailed.
    """
    found = models.find("htdemucs")
    folders = [folder for folder in (given / "htdemucs" if given else None, found.folder if found else None) if folder is not None]
    published = next((folder / _FILE for folder in folders if (folder / _FILE).is_file()), None)
    file = ours / "htdemucs" / _FILE
    file.parent.mkdir(parents=True)
    theirs.mkdir()
    if published:
        file.symlink_to(published.absolute())
    else:
        run("Making htdemucs with random weights", [sys.executable, "-m", "tests.performance.bench.htdemucs_weights", file], environment)
    # demucs looks whether a file is what its name says.
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    (theirs / f"{SIGNATURE}-{digest[:8]}.th").symlink_to(file)
    return published is not None


def write_random(file: Path) -> None:
    """As demucs's published htdemucs was configured, and in its format."""
    import torch
    from demucs import states
    from demucs.htdemucs import HTDemucs

    torch.manual_seed(0)
    net = HTDemucs(
        ["drums", "bass", "other", "vocals"],
        depth=4,
        bottom_channels=512,
        t_layers=5,
        t_heads=8,
        t_dropout=0.02,
        dconv_mode=3,
        segment=Fraction(39, 5),
    )
    args, kwargs = net._init_args_kwargs
    state = states.get_state(net, None, half=True)  # type: ignore[no-untyped-call]
    torch.save({"klass": HTDemucs, "args": args, "kwargs": kwargs, "state": state, "training_args": {}}, file)


if __name__ == "__main__":
    write_random(Path(sys.argv[1]))
