"""Tables of a study file: unknown keys are refused, with the closest known one, and errors carry their place."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from shoal.errors import StudyError


@contextmanager
def place(name: str, separator: str = ": ") -> Iterator[None]:
    """Begin the message of an error inside with ``name``."""
    try:
        yield
    except ValueError as error:  # of shoal.errors too
        raise StudyError(f"{name}{separator}{error}") from None


def known(keys: Iterable[str], expected: Iterable[str]) -> None:
    """Refuse keys that are not expected."""
    expected = list(expected)
    for key in keys:
        if key not in expected:
            raise StudyError(f"{key}: unknown; {suggestion(key, expected)}")


def suggestion(word: str, options: Iterable[str]) -> str:
    """Say what was probably meant, or else all that is possible."""
    options = list(options)
    close = difflib.get_close_matches(word, options, n=1)
    return f"did you mean {close[0]}?" if close else f"expected one of {', '.join(options)}"


def required(table: Mapping[str, Any], key: str, kind: type, what: str) -> Any:
    """Return an entry that must be there and be of a kind."""
    if key not in table:
        raise StudyError(f"{key}: missing; must be {what}")
    if not isinstance(table[key], kind):
        raise StudyError(f"{key}: must be {what}, got {table[key]!r}")
    return table[key]
