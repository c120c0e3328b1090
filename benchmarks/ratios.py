"""Measure what docs/performance.md states: wengert beside PyTorch and NumPy, pair by pair, on one thread.

Owns: the choice of figures, their targets, how they are printed, written and drawn. May import: the suite's
programs and timing; late, wengert, PyTorch and matplotlib. Must not know: how wengert does it.
Samples are taken in turn in one process, the garbage collector left as every program has it. What needs a fresh
process (imports, a chain of a million ops) takes turns in processes of their own.

    python benchmarks/ratios.py [--runs N] [--json FILE] [--svg FILE] [--write FILE]
"""

from __future__ import annotations

import argparse
import ctypes
import datetime
import functools
import gc
import importlib.metadata
import io
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from benchmarks import programs  # noqa: E402  (it also pins the threads, before NumPy is there)
from benchmarks.common import MODULES, Pair, Run, load, paired, present, seconds  # noqa: E402

ROOT = HERE.parent
RUNS = 40  # pairs of samples
FRESH_RUNS = 15  # of two processes that import
MILLION_RUNS = 3  # of two processes with a chain of a million
LENGTH, MILLION = 1000, 1_000_000
READABLE = 10e6  # bytes: less is lost among the pages that a process takes and keeps anyway
MARKS = ("<!-- figures: begin -->", "<!-- figures: end -->")
# how many make what is kept: a second, a byte, a whole
UNITS = {"µs": 1e6, "ms": 1e3, "s": 1.0, "B": 1.0, "kB": 1e-3, "MB": 1e-6, "%": 1e2}


# ---- figures
@dataclass
class Figure:
    """One line of the table: what was measured of wengert, of its peer, and what is made of each pair."""

    name: str
    unit: str
    peer: str
    kind: str  # "ratio" or "difference" of a pair, or "alone": wengert's own figure is the one that counts
    ours: list[float]
    theirs: list[float] = field(default_factory=list)
    target: float | None = None
    at_least: bool = False

    @property
    def values(self) -> list[float]:
        """Return what the target is about, one value a pair; empty where the peer is missing."""
        if self.kind == "alone":
            return self.ours
        combine = {"ratio": lambda a, b: a / b, "difference": lambda a, b: a - b}[self.kind]
        return [combine(a, b) for a, b in zip(self.ours, self.theirs, strict=True)] if self.theirs else []

    @property
    def met(self) -> bool | None:
        """Say whether the median meets the target; None where there is none, or nothing to compare with."""
        if self.target is None or not self.values:
            return None
        middle = statistics.median(self.values)
        return middle >= self.target if self.at_least else middle <= self.target

    def cells(self) -> list[str]:
        """Return the line of the table."""
        theirs = f"{self.peer} {self.show(statistics.median(self.theirs))}" if self.theirs else self.peer
        outcome = target = verdict = ""
        if self.values and self.kind != "alone":
            low, middle, high = min(self.values), statistics.median(self.values), max(self.values)
            outcome = f"{self.outcome(middle)} ({self.outcome(low, '')} to {self.outcome(high, '')})"
        if self.target is not None:
            target = f"{'≥' if self.at_least else '≤'} {self.outcome(self.target, form='g')}"
            verdict = {True: "pass", False: "FAIL", None: "not compared"}[self.met]
        return [self.name, self.show(statistics.median(self.ours)), theirs, outcome, target, verdict]

    def outcome(self, value: float, unit: str | None = None, form: str = "") -> str:
        """Show a ratio, a difference with its sign, or a value."""
        if self.kind == "ratio":
            return f"{value:{form or '.2f'}}"
        return ("+" if self.kind == "difference" and value >= 0 else "") + self.show(value, unit, form)

    def show(self, value: float, unit: str | None = None, form: str = "") -> str:
        """Show seconds, bytes or a share in the figure's unit, to three digits unless the form says otherwise."""
        scaled = value * UNITS[self.unit]
        if not form:
            whole = len(str(int(abs(scaled))))
            form = f".{max(0, min(2, 3 - whole))}f"
        return f"{scaled:{form}} {self.unit if unit is None else unit}".rstrip()


HEAD = ["what", "wengert", "compared with", "pair by pair: median (min to max)", "target", "verdict"]


def table(rows: list[list[str]]) -> str:
    """Return an aligned Markdown table."""
    widths = [max(3, *(len(row[i]) for row in rows)) for i in range(len(rows[0]))]
    ruled = [rows[0], ["-" * width for width in widths], *rows[1:]]
    return "\n".join(f"| {' | '.join(map(str.ljust, row, widths))} |" for row in ruled)


# ---- measuring
Ask = Callable[[str], Any]  # a question about a module, to a fresh process
ANSWERS = ("seconds", "held", "returned")  # of `answer`


class Progress:
    """One line on a terminal that says what is being measured; nothing anywhere else."""

    def __init__(self) -> None:
        self.shown = sys.stderr.isatty()

    def say(self, text: str) -> None:
        if self.shown:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    def of(self, name: str, total: int) -> Callable[[int], None]:
        self.say(f"{name} ...")
        return lambda done: self.say(f"{name}: {done}/{total}")


def both(wengert: Any, torch: Any, program: Callable[..., float], *arguments: int) -> tuple[Run, Run]:
    """Return a program for both modules, as functions of its last argument, after a check that they agree."""
    ours, theirs = (functools.partial(program, module, *arguments) for module in (wengert, torch or wengert))
    a, b = ours(20), theirs(20)
    if not math.isclose(a, b, rel_tol=1e-5):
        raise SystemExit(f"{program.__name__} gives {a} in wengert and {b} in PyTorch: nothing to compare")
    return ours, theirs


def in_one_process(torch: Any, runs: int, progress: Progress) -> Iterator[Figure]:
    """Measure what takes microseconds to milliseconds."""
    wengert = load("wengert")
    gc.collect()

    def compare(name: str, unit: str, target: float, program: Callable[..., float], *arguments: int) -> Figure:
        ours, theirs = both(wengert, torch, program, *arguments)
        found = measure(name, ours, theirs)
        return Figure(name, unit, "PyTorch", "ratio", *split(found, torch is not None), target=target)

    def measure(name: str, ours: Run, theirs: Run) -> list[Pair]:
        return paired(ours, theirs, runs, progress.of(name, runs))

    yield compare("`(x - 3) ** 2` and SGD, a step", "µs", 0.25, programs.parabola)
    yield compare("two equations and SGD, a step", "µs", 0.25, programs.equations)
    yield compare("two equations and SGD, a compiled step", "µs", 0.06, programs.equations_captured)
    name = "`p * c` of one element, recorded"
    found = measure(name, functools.partial(programs.product, wengert), programs.numpy_product)
    yield Figure(name, "µs", "`np.multiply`", "difference", *split(found), target=1.2e-6)
    name = f"chain of {LENGTH:,} ops, forward and backward"
    yield compare(name, "ms", 0.6, programs.chain, LENGTH)


def split(found: list[Pair], with_theirs: bool = True) -> tuple[list[float], list[float]]:
    return [a for a, _ in found], [b for _, b in found] if with_theirs else []


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


def long_chain(torch: Any, runs: int, length: int, progress: Progress) -> Iterator[Figure]:
    """Measure a chain too long for a recursive engine: its time, its memory, and whether that comes back."""
    names = MODULES if torch is not None else ["wengert"]
    name = f"chain of {length:,} ops"

    def ask(module: str) -> Any:
        return child(str(HERE / "ratios.py"), "--ask", module, "--chain", str(length))

    found = in_turn(ask, names, runs, progress.of(name, runs))
    said = {key: [[one[key] for one in found.get(module, [])] for module in MODULES] for key in ANSWERS}
    yield Figure(f"{name}, forward and backward", "s", "PyTorch", "ratio", *said["seconds"])
    if None not in said["held"][0]:
        yield Figure(f"{name}, memory an op", "B", "PyTorch", "ratio", *said["held"])
        returned = Figure(f"{name}, given back after `del`", "%", "PyTorch", "alone", *said["returned"])
        returned.target, returned.at_least = 0.95, True
        yield returned


def answer(module: str, length: int) -> dict[str, float | None]:
    """Return seconds of a chain forward and backward, bytes held an op, and the share given back without backward.

    The memory is given back while the cyclic collector is off: what comes back is in no reference cycle.
    """
    torch = load(module)
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
    taken = seconds(lambda times: programs.chain(torch, length, times), 1)
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


def imports(runs: int, progress: Progress) -> Figure:
    """Measure the import beside that of NumPy, which is part of it.

    Compiled modules are kept in a folder of ours, as an installed package has them and not every checkout does.
    """
    code = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"
    names = ["wengert", "numpy"]
    with tempfile.TemporaryDirectory() as folder:

        def ask(module: str) -> Any:
            return child("-c", code.format(module), PYTHONPYCACHEPREFIX=folder, PYTHONDONTWRITEBYTECODE="")

        in_turn(ask, names, 1, lambda done: None)  # compiles them
        found = in_turn(ask, names, runs, progress.of("import", runs))
    return Figure("`import`", "ms", "`import numpy`", "difference", found["wengert"], found["numpy"], target=60e-3)


def wheel(progress: Progress) -> list[Figure] | str:
    """Return the sizes of the wheel, packed and installed, or why there are none."""
    missing = [name for name in ("build", "hatchling") if not present(name)]
    if missing:
        return f"The size of the wheel was not measured: {' and '.join(missing)} not installed."
    if not (ROOT / "pyproject.toml").exists():
        return "The size of the wheel was not measured: the sources are not here."
    progress.say("wheel ...")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, str(ROOT)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, encoding="utf-8")
        built = list(Path(folder).glob("*.whl"))
        if done.returncode or not built:
            reason = (done.stderr.strip() or "there is none").splitlines()[-1]
            return f"The size of the wheel was not measured: {reason}."
        packed = built[0].stat().st_size
        with zipfile.ZipFile(built[0]) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    return [
        Figure("wheel", "kB", "", "alone", [packed]),
        Figure("installed, without NumPy and SciPy", "MB", "PyTorch", "alone", [unpacked], torch_size()),
    ]


def torch_size() -> list[float]:
    """Return the size of PyTorch's installed files as its distribution lists them, or nothing."""
    try:
        files = importlib.metadata.files("torch") or []
    except importlib.metadata.PackageNotFoundError:
        return []
    return [float(sum(file.size or 0 for file in files))] if files else []


# ---- where, and how it is told
def machine() -> dict[str, str]:
    """Return what the figures depend on, and the day."""

    def version(name: str) -> str:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return "not installed"

    processor = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return {
        "date": datetime.date.today().isoformat(),
        "processor": f"{processor}, {os.cpu_count()} cores, of which one is used",
        "system": f"{platform.system()} {platform.release()}",
        "load before": f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown",
        "Python": platform.python_version(),
        "NumPy": version("numpy"),
        "PyTorch": version("torch") if present("torch") else "not installed",
        "wengert": load("wengert").__version__,
    }


def report(where: dict[str, str], figures: list[Figure], notes: list[str]) -> str:
    """Return everything as Markdown."""
    parts = [
        "\n".join(f"- {key}: {value}" for key, value in where.items()),
        table([HEAD, *(figure.cells() for figure in figures)]),
        *notes,
    ]
    return "\n\n".join(parts)


def replaced(text: str, block: str) -> str:
    """Return a document with a new block between its two marks. Raises ValueError where it has not both, once."""
    if [text.count(mark) for mark in MARKS] != [1, 1] or text.index(MARKS[0]) > text.index(MARKS[1]):
        raise ValueError(f"the document needs the lines {MARKS[0]} and {MARKS[1]}, once each and in this order")
    before, _, rest = text.partition(MARKS[0])
    return f"{before}{MARKS[0]}\n\n{block}\n\n{MARKS[1]}{rest.partition(MARKS[1])[2]}"


def draw(figures: list[Figure], path: Path) -> None:
    """Draw the ratios as bars, PyTorch's 1 and the targets as lines."""
    import matplotlib
    from matplotlib.figure import Figure as Picture

    bars = [figure for figure in figures if figure.kind == "ratio" and figure.values]
    # a fixed salt and no date: the same numbers give the same file
    with matplotlib.rc_context({"svg.hashsalt": "wengert", "font.size": 9}):
        picture = Picture(figsize=(7, 0.9 + 0.45 * len(bars)), layout="constrained")
        axes = picture.subplots()
        for place, figure in enumerate(bars):
            middle = statistics.median(figure.values)
            axes.barh(place, middle, height=0.6, color="#0072B2")
            near = {"xytext": (4, 0), "textcoords": "offset points", "va": "center", "color": "white"}
            axes.annotate(f"{middle:.2f}", (0, place), weight="bold", **near)
            if figure.target is not None:
                axes.plot([figure.target] * 2, [place - 0.4, place + 0.4], color="#D55E00", linewidth=2)
        axes.plot([], [], color="#D55E00", linewidth=2, label="target")
        axes.axvline(1, color="black", linestyle="--", label="PyTorch")
        axes.set_yticks(range(len(bars)), [figure.name.replace("`", "") for figure in bars])
        axes.invert_yaxis()
        axes.set_xlabel("wengert / PyTorch (less is better)")
        axes.set_xlim(0, 1.1 * max(1, *(statistics.median(figure.values) for figure in bars)))
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="lower right", framealpha=1)
        picture.savefig(path, format="svg", metadata={"Date": None})


def measure(runs: int, length: int, progress: Progress) -> tuple[list[Figure], list[str]]:
    """Return all figures, and what has to be said beside them."""
    torch = load("torch") if present("torch") else None
    notes = []
    if torch is None:
        notes.append("PyTorch is not installed (the extra `parity`): what is compared with it is wengert's alone.")
    figures = [
        *in_one_process(torch, runs, progress),
        *long_chain(torch, min(runs, MILLION_RUNS), length, progress),
        imports(min(runs, FRESH_RUNS), progress),
    ]
    sizes = wheel(progress)
    if isinstance(sizes, str):
        notes.append(sizes)
    else:
        figures += sizes
    progress.say("")
    return figures, notes


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and write what was asked for; return the exit status, 0 whether or not targets are met."""
    parser = argparse.ArgumentParser(prog="ratios.py", description="Measure wengert beside PyTorch and NumPy.")
    add = parser.add_argument
    add("--runs", type=int, default=RUNS, metavar="N", help=f"pairs of samples (default {RUNS})")
    add("--chain", type=int, default=MILLION, metavar="N", help=f"ops of the long chain (default {MILLION})")
    add("--json", type=Path, metavar="FILE", help="keep every sample")
    add("--svg", type=Path, metavar="FILE", help="draw the ratios, into a file such as docs/performance.svg")
    add("--write", type=Path, metavar="FILE", help="put the figures into a document, such as docs/performance.md")
    add("--ask", metavar="MODULE", help=argparse.SUPPRESS)  # how this script asks itself in a fresh process
    options = parser.parse_args(arguments)
    if options.runs < 1 or options.chain < 1:
        parser.error("--runs and --chain are at least 1")
    if not present("wengert"):
        parser.error("wengert is not installed: pip install -e .")
    if options.ask:
        print(json.dumps(answer(options.ask, options.chain)))
        return 0
    if options.write:  # known before minutes of measuring, not after
        if not present("torch"):
            parser.error("--write needs PyTorch (the extra `parity`): the document compares with it")
        try:
            replaced(options.write.read_text(encoding="utf-8"), "")
        except (OSError, ValueError) as error:
            parser.error(f"--write: {error}")

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without "µ" still gets its figures
    where = machine()
    figures, notes = measure(options.runs, options.chain, Progress())
    print(report(where, figures, notes))
    if options.json:
        rows = [{**asdict(figure), "values": figure.values, "met": figure.met} for figure in figures]
        options.json.write_text(json.dumps({"machine": where, "figures": rows}, indent=1) + "\n", encoding="utf-8")
    if options.svg:
        if not present("matplotlib"):
            print("\nNo picture: matplotlib is not installed (the extra `demo`).")
        elif not any(figure.kind == "ratio" and figure.values for figure in figures):
            print("\nNo picture: there is nothing to compare with.")
        else:
            draw(figures, options.svg)
    if options.write:
        picture = options.write.with_suffix(".svg")
        if picture.exists():
            notes = [f"![The ratios as bars, PyTorch's 1 and the targets as lines]({picture.name})", *notes]
        text = options.write.read_text(encoding="utf-8")
        options.write.write_text(replaced(text, report(where, figures, notes)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
