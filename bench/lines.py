"""Lines of results, and where they go."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def put(row: Mapping[str, Any], out: Path | None) -> None:
    """Write a line of JSON behind what the file has, or to stdout."""
    text = json.dumps(row) + "\n"
    if out is None:
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    with out.open("a") as file:
        file.write(text)
