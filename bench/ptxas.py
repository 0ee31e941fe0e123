"""What each GPU kernel takes of a multiprocessor, as ptxas says: registers, spills, and how many blocks fit.

    python bench/ptxas.py --out ptxas.jsonl        # needs nvcc and cmake but no GPU, and takes some minutes

Kernels are compiled as the package compiles them. One line a kernel and architecture. The functions that a kernel
calls, most of them an op each, run on its registers: those that spill, or have arrays in local memory, are in its line,
with the bytes of their stack frames and of stores and loads by spills. How many blocks fit follows from registers and
threads alone (CUDA Programming Guide, compute capabilities): shared memory is sized for the members at run time.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lines
import machine

ROOT = Path(__file__).resolve().parent.parent
REGISTERS, THREADS = 65536, 2048  # of a multiprocessor
UNIT = 256  # registers of a warp come in so many

KERNEL = re.compile(r"Compiling entry function '(\w+)'")
FUNCTION = re.compile(r"Function properties for (\w+)")
STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers(?:.*, (\d+) bytes smem)?")


def commands(folder: Path, architecture: str) -> Iterator[list[str]]:
    """Return how the package compiles each .cu file."""
    options = {
        "CMAKE_CUDA_ARCHITECTURES": f"{architecture}-real",
        "CMAKE_EXPORT_COMPILE_COMMANDS": "ON",
        "SHOAL_CUDA": "ON",
    }
    settings = [f"-D{name}={value}" for name, value in options.items()]
    subprocess.run(["cmake", "-S", ROOT, "-B", folder, *settings], check=True, stdout=sys.stderr)
    for entry in json.loads((folder / "compile_commands.json").read_text()):
        if entry["file"].endswith(".cu"):
            yield shlex.split(entry["command"])


def kernels(told: str, threads: int) -> Iterator[dict[str, Any]]:
    """Return what ptxas tells of each kernel."""
    name, function, spills = "", "", {}
    for line in told.splitlines():
        if found := KERNEL.search(line):
            name, spills = plain(found[1]), {}
        elif found := FUNCTION.search(line):
            function = plain(found[1])
        elif found := STACK.search(line):
            stack, stores, loads = map(int, found.groups())
            if stack or stores or loads:
                spills[function] = {"stack": stack, "stores": stores, "loads": loads}
        elif found := USED.search(line):
            registers = int(found[1])
            yield {
                "kernel": name,
                "registers": registers,
                "static_shared": int(found[2] or 0),
                "blocks": blocks(registers, threads),
                "spills": spills,
            }


def blocks(registers: int, threads: int) -> int:
    """Return how many blocks a multiprocessor has registers for."""
    warp = -(-registers * 32 // UNIT) * UNIT
    return min(REGISTERS // warp * 32, THREADS) // threads


def plain(symbol: str) -> str:
    """Return a function's name as in the source, without arguments."""
    done = subprocess.run(["c++filt", "--no-params", symbol], check=True, capture_output=True, text=True)
    return done.stdout.strip().removeprefix("void ").replace("shoal::", "").replace("cuda::", "")


def threads_of_block() -> int:
    """Return what all kernels are launched with."""
    found = re.search(r"kThreads = (\d+)", (ROOT / "csrc/kernels/device.h").read_text())
    assert found is not None
    return int(found[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--architectures", default="80,90a")
    parser.add_argument("--out", type=Path, help="file for the JSON lines, added behind what it has")
    options = parser.parse_args()
    about, threads = machine.describe(), threads_of_block()
    for architecture in options.architectures.split(","):
        with tempfile.TemporaryDirectory() as folder:
            for command in commands(Path(folder), architecture):
                done = subprocess.run([*command, "-Xptxas=-v"], cwd=folder, check=True, capture_output=True, text=True)
                for kernel in kernels(done.stderr, threads):
                    case = {"kernel": kernel.pop("kernel"), "architecture": f"sm_{architecture}"}
                    figures = {"threads": threads, **kernel}
                    lines.put({"bench": "ptxas", "case": case, **figures, "machine": about}, options.out)


if __name__ == "__main__":
    main()
