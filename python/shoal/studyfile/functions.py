"""Functions that a study file names: ``"module:name"``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from shoal.errors import StudyError
from shoal.studyfile.tables import place, required


def read_function(table: Mapping[str, Any], key: str, takes: str) -> Callable[..., Any]:
    """Return the function that an entry names; ``takes`` says of what it must be one."""
    path = required(table, key, str, 'text, "module:name"')
    module, _, name = path.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # as ``python -m`` does; the installed command does not
    with place(key):
        try:
            function = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise StudyError(f'must be "module:name" of a function, got {path!r}: {error}') from None
    if not callable(function):
        raise StudyError(f"{key}: must be a function of {takes}, got {function!r}")
    found: Callable[..., Any] = function
    return found
