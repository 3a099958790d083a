"""What is around one execution of a step."""

from __future__ import annotations

import subprocess
import sys

_SIDE_BY_SIDE = """
import sys
from tasks.common.orchestration.running import running
with running("ingest"):
    pass
alone = "torch" in sys.modules
with running("separation"):
    print(alone, hasattr(sys.modules.get("torch"), "Tensor"))
"""


def test_torch_is_imported_whole_before_steps_compute_side_by_side() -> None:
    """SciPy fails in one thread while another imports torch."""
    done = subprocess.run([sys.executable, "-c", _SIDE_BY_SIDE], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "False True\n", done.stderr
