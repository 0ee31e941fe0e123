"""Compare two files of results, case by case, and call a difference only where it exceeds the spread.

    python bench/compare.py old.jsonl new.jsonl

Better or worse: the quartiles of old and new do not overlap. Anything less is a tie. Ratios to a peer that was timed in
the same run say more than speeds when the runs are from different hours or machines.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

Key: TypeAlias = tuple[str, str, str]  # benchmark, case, metric
Entry: TypeAlias = tuple[dict[str, float], bool]  # the figure; whether higher is better


def read(lines: Iterable[str]) -> dict[Key, Entry]:
    """Return every figure of a file; a later line replaces an earlier one of the same case."""
    entries: dict[Key, Entry] = {}
    for line in filter(str.strip, lines):
        row: dict[str, Any] = json.loads(line)
        case = " ".join(f"{name}={value}" for name, value in row["case"].items())
        for name, figure in row["metrics"].items():
            entries[row["bench"], case, name] = figure, row["better"] == "higher"
        for name, figure in row.get("ratios", {}).items():
            entries[row["bench"], case, f"shoal / {name}"] = figure, True
    return entries


def verdict(old: dict[str, float], new: dict[str, float], higher_is_better: bool) -> str:
    """Return "better", "worse" or "tie"."""
    low, high = (old.get("q1", old["median"]), old.get("q3", old["median"]))
    if new.get("q1", new["median"]) > high:
        return "better" if higher_is_better else "worse"
    if new.get("q3", new["median"]) < low:
        return "worse" if higher_is_better else "better"
    return "tie"


def compare(old: dict[Key, Entry], new: dict[Key, Entry]) -> list[str]:
    """Return a line of text for every figure that both have, in the order of ``new``."""
    lines = []
    for key in [key for key in new if key in old]:
        (before, _), (after, higher) = old[key], new[key]
        change = after["median"] / before["median"] - 1
        figures = f"{before['median']:>10.4g} -> {after['median']:<10.4g} {change:+7.1%}"
        lines.append(f"{' '.join(key[:2]):40} {key[2]:24} {figures}  {verdict(before, after, higher)}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    options = parser.parse_args()
    with options.old.open() as old, options.new.open() as new:
        lines = compare(read(old), read(new))
    print("\n".join(lines) if lines else "the files have no case in common")
    sys.exit(not lines)


if __name__ == "__main__":
    main()
