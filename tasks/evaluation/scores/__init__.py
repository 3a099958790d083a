"""The metrics of each step: (truth, result) → figures by name. A metric that does not apply to a song is left out.

Each is computed by the field's own library; the conventions are in the README beside this package.
"""

from __future__ import annotations
