"""The OpenAPI document as committed. `python -m deployments.api.document`, or `make docs`, writes it; a test fails while it is old."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from deployments.api.app import create_app

DOCUMENT: Final = Path(__file__).with_name("openapi.json")


def document_text() -> str:
    """The document of the code as it is now."""
    return json.dumps(create_app().openapi(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(document_text(), encoding="utf-8")
