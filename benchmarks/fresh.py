"""Figures that need a fresh process: imports, a chain of a million ops and its memory, the size of the wheel.

Owns: those, and how a fresh Python is asked. May import: report, the suite's programs. Must not know: how wengert does it.
This file is also the program that the fresh process runs.
"""

from __future__ import annotations

import ctypes
import email
import functools
import gc
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from benchmarks import programs  # noqa: E402  (it also pins the threads, before NumPy is there)
from benchmarks.common import timing  # noqa: E402
from benchmarks.engines import engine, present  # noqa: E402
from report import Figure  # noqa: E402

ROOT = HERE.parent
READABLE = 10e6  # bytes: less is lost among the pages that a process takes and keeps anyway
OURS, THEIRS = "wengert:cpu", "torch:cpu"
Ask = Callable[[str], Any]  # a question about a module, to a fresh process
Seen = Callable[[str, int], Callable[[int], None]]  # progress: (name, total) -> (done) -> None
ANSWERS = ("seconds", "held", "returned")  # of `answer`


def child(*arguments: str, **environment: str) -> Any:
    """Return what a fresh Python with these arguments prints as JSON."""
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    if done.returncode:
        raise SystemExit(f"a measuring process failed:\n{done.stderr}")
    return json.loads(done.stdout)


def in_turn(ask: Ask, names: list[str], runs: int, seen: Callable[[int], None]) -> dict[str, list[Any]]:
    """Ask a fresh process about each module, the order turning round from run to run."""
    found: dict[str, list[Any]] = {name: [] for name in names}
    for done in range(1, runs + 1):
        for name in names if done % 2 else reversed(names):
            found[name].append(ask(name))
        seen(done)
    return found


def long_chain(runs: int, length: int, progress: Seen) -> Iterator[Figure]:
    """Measure a chain too long for a recursive engine: its time, its memory, and whether that comes back."""
    names = [OURS, THEIRS] if present("torch") else [OURS]
    name = f"chain of {length:,} ops"

    def ask(module: str) -> Any:
        return child(str(HERE / "fresh.py"), module, str(length))

    found = in_turn(ask, names, runs, progress(name, runs))
    said = {key: [[one[key] for one in found.get(module, [])] for module in (OURS, THEIRS)] for key in ANSWERS}
    yield Figure(f"{name}, forward and backward", "s", "PyTorch", "ratio", *said["seconds"])
    if None not in said["held"][0]:
        yield Figure(f"{name}, memory an op", "B", "PyTorch", "ratio", *said["held"])
        returned = Figure(f"{name}, given back after `del`", "%", "PyTorch", "alone", *said["returned"])
        returned.target, returned.at_least = 0.95, True
        yield returned


def answer(name: str, length: int) -> dict[str, float | None]:
    """Return seconds of a chain forward and backward, bytes held an op, and the share given back without backward.

    The memory is given back while the cyclic collector is off: what comes back is in no reference cycle.
    """
    torch = engine(name).T
    x = torch.tensor([1.0], requires_grad=True)
    programs.chain(torch, 10 + length // 10)  # what is made at the first use and kept is not the chain's
    gc.collect()
    gc.disable()
    before = resident()
    y = programs.links(torch, x, length)
    full = resident()
    del y
    after = resident()
    gc.enable()
    held = returned = None
    if before is not None and full is not None and after is not None and full - before > READABLE:
        held, returned = (full - before) / length, (full - after) / (full - before)
    taken = timing.seconds(lambda times: programs.chain(torch, length, times), 1)
    return {"seconds": taken, "held": held, "returned": returned}


def resident() -> int | None:
    """Return the bytes this process occupies, once the C library has given back what it could; None if unknown."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):  # not glibc
        pass
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None


def imports(runs: int, progress: Seen) -> Figure:
    """Measure the import beside that of NumPy, which is part of it."""
    found = import_times(["wengert", "numpy"], runs, progress("import", runs))
    return Figure("`import`", "ms", "`import numpy`", "difference", found["wengert"], found["numpy"], target=60e-3)


def import_times(names: list[str], runs: int, seen: Callable[[int], None]) -> dict[str, list[float]]:
    """Return the seconds that modules take to import, each in a fresh process.

    Compiled modules are kept in a folder of ours, as an installed package has them and not every checkout does.
    """
    code = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"
    with tempfile.TemporaryDirectory() as folder:

        def ask(module: str) -> Any:
            return child("-c", code.format(module), PYTHONPYCACHEPREFIX=folder, PYTHONDONTWRITEBYTECODE="")

        in_turn(ask, names, 1, lambda done: None)  # compiles them
        return in_turn(ask, names, runs, seen)


@functools.cache
def built() -> tuple[int, int, list[str]] | str:
    """Return the wheel's bytes, what it unpacks to, and what it requires, or why they are not known."""
    missing = [name for name in ("build", "hatchling") if not present(name)]
    if missing:
        return f"{' and '.join(missing)} not installed"
    if not (ROOT / "pyproject.toml").exists():
        return "the sources are not here"
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, str(ROOT)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, encoding="utf-8")
        found = list(Path(folder).glob("*.whl"))
        if done.returncode or not found:
            return (done.stderr.strip() or "there is none").splitlines()[-1]
        with zipfile.ZipFile(found[0]) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
            metadata = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
            fields = email.message_from_bytes(archive.read(metadata))
        return found[0].stat().st_size, unpacked, fields.get_all("Requires-Dist") or []


def wheel() -> list[Figure] | str:
    """Return the sizes of the wheel, packed and installed, or why there are none."""
    known = built()
    if isinstance(known, str):
        return f"The size of the wheel was not measured: {known}."
    packed, unpacked, _ = known
    theirs = [listed("torch")] if present("torch") else []
    return [
        Figure("wheel", "kB", "", "alone", [packed]),
        Figure("installed, without NumPy and SciPy", "MB", "PyTorch", "alone", [unpacked], theirs),
    ]


def installed(name: str) -> float | str:
    """Return the bytes of a distribution and of all that it requires, without extras, or why they are not known."""
    known = built() if name == "wengert" else None  # a checkout's own record lists a path, and no files
    if isinstance(known, str) or not present("packaging"):
        return f"What {name} takes when installed was not measured: {known or 'packaging is not installed'}."
    seen = {name}
    waiting = [known[2] if known else importlib.metadata.requires(name) or []]
    total = known[1] if known else listed(name)
    from packaging.requirements import Requirement

    while waiting:
        for line in waiting.pop():
            one = Requirement(line)
            if one.name not in seen and (one.marker is None or one.marker.evaluate({"extra": ""})):
                seen.add(one.name)
                total += listed(one.name)
                waiting.append(importlib.metadata.requires(one.name) or [])
    return float(total)


def listed(name: str) -> float:
    """Return the bytes of a distribution's files as its record has them; 0 where it has none."""
    try:
        files = importlib.metadata.files(name) or []
    except importlib.metadata.PackageNotFoundError:
        return 0.0
    return float(sum(file.size or 0 for file in files))


if __name__ == "__main__":
    print(json.dumps(answer(sys.argv[1], int(sys.argv[2]))))
