"""Run wengert's devices and their peers side by side, in one process, in turn, and tell the ratios with their spread.

Owns: the command, its sections, the choice of figures and their targets. May import: the suite, report, fresh.
Must not know: how any library does it. One thread each, or WENGERT_BENCH_THREADS; before anything is timed, all have to
give the same result; a noisy machine is noticed and said.

    python benchmarks/compare.py [small|peers|second|training|networks|ops ...] [--rounds N] [--only NAME ...] [--write]
        [--json FILE]
"""

from __future__ import annotations

import argparse
import functools
import gc
import io
import json
import math
import statistics
import sys
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from benchmarks import COUNT, networks, programs, training, transforms  # noqa: E402  (it also pins the threads, before NumPy is there)
from benchmarks.common import kernels, timing  # noqa: E402
from benchmarks.engines import LAZY, TAPES, TITLES, engine, present  # noqa: E402
from fresh import import_times, imports, installed, long_chain, wheel  # noqa: E402
from report import HEAD as FIGURE_HEAD  # noqa: E402
from report import Figure, Row, draw, duration, listed, machine, matrix, replaced, shown, table  # noqa: E402

ROUNDS = 15
PAIRS = 40  # of the small figures, which are quick
FRESH_RUNS, MILLION_RUNS = 15, 3  # of two processes that import; with a chain of a million
LENGTH, MILLION = 1000, 1_000_000
OP_SIZES = (1_000, 1_000_000)
REFERENCE = TITLES["torch:cpu", "eager"]
PEERS = [key for key in TITLES if key not in LAZY and not key[0].endswith((":opencl", ":cuda"))]
APART = ("mygrad", "tinygrad")  # they have a section of their own, with the rest of the host's
STEPS = [key for key in TITLES if key not in LAZY and key[0] not in APART and key[1] != "fast"]
HOST = [key for key in PEERS if key in STEPS]
OPS = [key for key in TITLES if key[1] == "eager" and key[0] not in ("autograd", *APART)]  # NumPy, where nothing is recorded
SHOWN = ["parabola", "two_equations", "mlp", "lenet", "attention"]  # of the peers
PAGE = HERE.parent / "docs" / "performance.md"
Run = Callable[[int], Any]


@dataclass
class Settings:
    """What was asked for, and what a section needs beside it."""

    rounds: int | None
    chain: int
    only: list[str]
    noise: Any = field(default_factory=lambda: timing.Noise(COUNT))
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.terminal = sys.stderr.isatty()

    def say(self, text: str) -> None:
        """Show one line on a terminal that says what is being measured; nothing anywhere else."""
        if self.terminal:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    def seen(self, name: str, total: int) -> Callable[[int], None]:
        self.say(f"{name} ...")
        return lambda done: self.say(f"{name}: {done}/{total}")

    def names(self, found: list[str]) -> list[str]:
        return [name for name in found if not self.only or name in self.only]

    def watched(self, title: str, run: Run) -> Run:
        """Return a run whose use of processors is counted."""

        def counted(times: int) -> None:
            with self.noise.watched(title):
                run(times)

        return counted


# ---- small problems, with targets
def small(settings: Settings) -> list[Figure]:
    """Measure what the interpreter's time goes into: single calls, chains, loops of tiny steps, imports."""
    pairs = settings.rounds or PAIRS
    names = ["wengert:cpu", "torch:cpu"][: 1 + present("torch")]

    def both(name: str, workload: str, target: float, mode: str = "eager", peer: str = "PyTorch") -> Figure:
        other = [("torch:cpu", "eager")] if peer == "PyTorch" else [("jax", "captured")]
        keys = [(names[0], mode), *(key for key in other if present(key[0].partition(":")[0]))]
        steps = {key: engine(key[0]).step(training.WORKLOADS[workload], key[1]) for key in keys}
        agree(name, {TITLES[key]: [number(step()) for _ in range(3)][-1] for key, step in steps.items()})
        runs = [settings.watched(TITLES[key], engine(key[0]).run(step)) for key, step in steps.items()]
        found = timing.paired(runs[0], runs[-1], pairs, settings.seen(name, pairs))
        settings.noise.seen([sample for _, sample in found])
        return Figure(name, "µs", peer, "ratio", *split(found, len(runs) == 2), target=target)

    gc.collect()
    figures = [
        both("`(x - 3) ** 2` and SGD, a step", "parabola", 0.25),
        both("two equations and SGD, a step", "two_equations", 0.25),
        both("`(x - 3) ** 2` and SGD, a compiled step", "parabola", 0.06, "captured"),
        both("two equations and SGD, a compiled step", "two_equations", 0.06, "captured"),
    ]
    if present("jax"):
        figures += [
            both("`(x - 3) ** 2` and SGD, a compiled step", "parabola", 0.3, "captured", "`jax.jit`"),
            both("two equations and SGD, a compiled step", "two_equations", 0.3, "captured", "`jax.jit`"),
        ]
    ours = functools.partial(programs.product, engine(names[0]).T)
    product = timing.paired(ours, programs.numpy_product, pairs, settings.seen("p * c", pairs))
    name = "`p * c` of one element, recorded"
    figures.append(Figure(name, "µs", "`np.multiply`", "difference", *split(product), target=1.2e-6))
    figures += chains(settings, [engine(name) for name in names], pairs)
    figures += long_chain(min(pairs, MILLION_RUNS), settings.chain, settings.seen)
    figures.append(imports(min(pairs, FRESH_RUNS), settings.seen))
    settings.say("wheel ...")
    sizes = wheel()
    if isinstance(sizes, str):
        settings.notes.append(sizes)
    else:
        figures += sizes
    return figures


def chains(settings: Settings, places: list[Any], rounds: int) -> list[Figure]:
    """Measure a chain in both directions, and what each of its nodes takes backward: what both took, less forward."""
    agree("chain", {place.name: programs.chain(place.T, LENGTH) for place in places})
    kinds = {"both": programs.chain, "forward": programs.chain_forward}
    runs = {
        f"{place.name} {kind}": settings.watched(place.name, functools.partial(program, place.T, LENGTH))
        for place in places
        for kind, program in kinds.items()
    }
    name = f"chain of {LENGTH:,} ops, forward and backward"
    found = timing.rounds(runs, rounds, settings.seen(name, rounds))
    whole = [found[f"{place.name} both"] for place in places]
    nodes = [[(a - b) / LENGTH for a, b in zip(both, found[f"{place.name} forward"], strict=True)]
             for place, both in zip(places, whole, strict=True)]  # fmt: skip
    return [
        Figure(name, "ms", "PyTorch", "ratio", *whole, target=0.6),
        Figure("backward of a node in that chain", "µs", "PyTorch", "ratio", *nodes),
    ]


def split(found: list[tuple[float, float]], with_theirs: bool = True) -> tuple[list[float], list[float]]:
    return [a for a, _ in found], [b for _, b in found] if with_theirs else []


def number(loss: Any) -> float:
    return float(loss.reshape(-1)[0].item())


def agree(name: str, results: dict[str, float], tolerance: float = 1e-3) -> None:
    """Raise SystemExit where engines give different results: there would be nothing to compare."""
    (first, expected), *others = results.items()
    for title, value in others:
        if not math.isclose(value, expected, rel_tol=tolerance, abs_tol=tolerance):
            raise SystemExit(f"{name}: {first} gives {expected} and {title} {value}: nothing to compare")


# ---- the libraries as a whole
def peers(settings: Settings) -> list[Row]:
    """Measure what each library of the host costs before it runs, and its steps."""
    runs = min(settings.rounds or FRESH_RUNS, FRESH_RUNS)
    modules = {TITLES[key]: key[0].partition(":")[0] for key in PEERS}
    found = list(dict.fromkeys(module for module in modules.values() if present(module)))
    rows = [Row("import", import_times(found, runs, settings.seen("import", runs))), Row("installed", {})]
    settings.say("installed ...")
    for module in found:
        size = installed(module)
        if isinstance(size, str):
            settings.notes.append(size)
        else:
            rows[1].samples[module] = [size]
    for one in rows:  # a library's, whichever of its ways is taken
        one.samples = {title: one.samples[module] for title, module in modules.items() if module in one.samples}
    return [*rows, *steps(PEERS, settings.names(SHOWN), settings)]


def beside(rows: list[Row]) -> str:
    """Return the table of the libraries, a line each."""
    titles = [TITLES[key] for key in PEERS if any(TITLES[key] in row.samples for row in rows)]
    cells = [["", *(row.name.replace("_", " ") for row in rows)]]
    for title in titles:
        line = [title]
        for one in rows:
            show = functools.partial(shown, unit="MB") if one.name == "installed" else duration
            known, relative = one.samples.get(title), one.ratios(title, REFERENCE)
            cell = show(statistics.median(known)) if known else "–"
            line.append(f"{cell} ({statistics.median(relative):.2f})" if relative else cell)
        cells.append(line)
    return "\n".join([table(cells), *unmeasured(rows)])


# ---- the same work on every engine
def row(name: str, makers: dict[str, Callable[[], tuple[Run, float | None]]], settings: Settings) -> Row:
    """Measure one piece of work on the engines that have it; each maker gives its run, and its result to compare."""
    runs: dict[str, Run] = {}
    results: dict[str, float] = {}
    missing: dict[str, str] = {}
    for title, make in makers.items():
        settings.say(f"{name}: {title} ...")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the libraries' remarks on themselves
                run, result = make()
        except Exception as error:  # one that fails does not cost the others their figures; what it said is told
            kind = "" if isinstance(error, NotImplementedError) else f"{type(error).__name__}: "
            missing[title] = kind + " ".join(str(error).split())
            continue
        runs[title] = settings.watched(title, run)
        if result is not None:
            results[title] = result
    if results:
        agree(name, results)
    rounds = settings.rounds or ROUNDS
    found = Row(name, timing.rounds(runs, rounds, settings.seen(name, rounds)), missing)
    for samples in found.samples.values():
        settings.noise.seen(samples)
    return found


def trained(key: tuple[str, str], name: str) -> tuple[Run, float]:
    """Return a workload's steps on an engine, three taken, and the third's loss."""
    place = engine(key[0])
    step = place.step(training.WORKLOADS[name], key[1])
    losses = [number(step()) for _ in range(3)]
    return place.run(step), losses[-1]


def steps(keys: list[tuple[str, str]], names: list[str], settings: Settings) -> list[Row]:
    """Measure the steps of some workloads on some engines."""
    return [row(name, {TITLES[key]: functools.partial(trained, key, name) for key in keys}, settings) for name in names]


def train(settings: Settings) -> list[Row]:
    """Measure training steps."""

    return steps(STEPS, settings.names(training.LARGE), settings)


def small_networks(settings: Settings) -> list[Row]:
    """Measure training steps of small networks, on what has PyTorch's modules."""

    def make(key: tuple[str, str], name: str) -> tuple[Run, float]:
        place = engine(key[0])
        step = networks.step_of(place, name, key[1])
        losses = [number(step()) for _ in range(3)]
        return place.run(step), losses[-1]

    keys = [key for key in STEPS if key[0] in TAPES]
    names = settings.names(list(networks.NETWORKS))
    return [row(name, {TITLES[key]: functools.partial(make, key, name) for key in keys}, settings) for name in names]


def second(settings: Settings) -> list[Row]:
    """Measure second order, transforms, and the Python loops that they stand for."""

    def make(key: tuple[str, str], name: str) -> tuple[Run, float]:
        place = engine(key[0])
        run = transforms.SECOND[name](place, key[1])
        result = [run() for _ in range(3)][-1]
        return place.run(run), float((result * result).sum())

    found = []
    for name in settings.names(list(transforms.SECOND)):
        keys = [key for key in HOST if key[1] == "eager" or not name.endswith("_loop")]
        found.append(row(name, {TITLES[key]: functools.partial(make, key, name) for key in keys}, settings))
    return found


def gains(rows: list[Row]) -> list[list[str]]:
    """Return how often a transform runs while wengert's Python loop over the rows runs once."""
    by_name = {row.name: row for row in rows}
    title = TITLES["wengert:cpu", "eager"]
    cells = [["100 rows or columns", "Python loop", "transform", "times as fast"]]
    for name, loop in transforms.LOOPS.items():
        if name in by_name and loop in by_name:
            a, b = (statistics.median(by_name[n].samples[title]) for n in (loop, name))
            cells.append([f"`{name}`", duration(a), duration(b), f"{a / b:.0f}"])
    return cells


def each_op(settings: Settings) -> dict[int, list[Row]]:
    """Measure one op at a time, at two sizes."""

    def make(key: tuple[str, str], name: str, size: int) -> tuple[Run, None]:
        place = engine(key[0])
        run = kernels.prepared(kernels.KERNELS[name], place.T, place.place, place.wait, size)
        run(1)
        return run, None

    return {
        size: [
            row(name, {TITLES[key]: functools.partial(make, key, name, size) for key in OPS}, settings)
            for name in settings.names(list(kernels.KERNELS))
        ]
        for size in OP_SIZES
    }


# ---- telling
def ratios(what: str, rows: list[Row]) -> str:
    """Return the table of some rows; an engine that did none of them is left out, and why it did not is said below."""
    titles = [title for title in TITLES.values() if any(title in row.samples for row in rows)]
    text = table(matrix(what, rows, titles, REFERENCE if REFERENCE in titles else ""))
    return "\n".join([text, *unmeasured(rows)])


def unmeasured(rows: list[Row]) -> list[str]:
    """Return the lines that say who did not do what, and why."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        for title, reason in row.missing.items():
            reasons.setdefault(f"{title}: {reason}", []).append(row.name.replace("_", " "))
    said = [f"- {why}" + ("" if len(names) == len(rows) else f" ({', '.join(names)})") for why, names in reasons.items()]
    return ["", "Not measured:", "", *said] if said else []


def told(section: str, found: Any) -> str:
    """Return a section's figures as Markdown."""
    if section == "small":
        return table([FIGURE_HEAD, *(figure.cells() for figure in found)])
    if section == "peers":
        return beside(found)
    if section == "ops":
        return "\n\n".join(ratios(f"{size:,} elements", rows) for size, rows in found.items())
    text = ratios({"training": "training step", "networks": "small network", "second": "second order"}[section], found)
    return f"{text}\n\n{table(gains(found))}" if section == "second" and len(gains(found)) > 1 else text


def kept(found: Any) -> Any:
    """Return a section's figures as JSON has them, with every sample."""
    if isinstance(found, dict):
        return {str(size): kept(rows) for size, rows in found.items()}
    return [one.record() if isinstance(one, Figure) else asdict(one) for one in found]


SECTIONS: dict[str, Callable[[Settings], Any]] = {
    "small": small, "peers": peers, "second": second, "training": train, "networks": small_networks,
    "ops": each_op,
}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and write what was asked for; return the exit status, 0 whether or not targets are met."""
    parser = argparse.ArgumentParser(prog="compare.py", description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)} (default: all)")
    add("--rounds", type=int, metavar="N", help=f"samples of each (default {ROUNDS}; {PAIRS} of the small problems)")
    add("--only", nargs="+", default=[], metavar="NAME", help="some workloads, transforms or ops")
    add("--chain", type=int, default=MILLION, metavar="N", help=f"ops of the long chain (default {MILLION:,})")
    add("--json", type=Path, metavar="FILE", help="keep every sample")
    add("--write", type=Path, nargs="?", const=PAGE, metavar="FILE", help="renew a document (default docs/performance.md)")
    options = parser.parse_args(arguments)
    known = {*training.WORKLOADS, *networks.NETWORKS, *transforms.SECOND, *kernels.KERNELS}
    if wrong := [name for name in options.sections if name not in SECTIONS]:
        parser.error(f"no section {wrong[0]!r}: there are {', '.join(SECTIONS)}")
    if wrong := [name for name in options.only if name not in known]:
        parser.error(f"nothing is called {wrong[0]!r}: there are {', '.join(sorted(known))}")
    if (options.rounds is not None and options.rounds < 1) or options.chain < 1:
        parser.error("--rounds and --chain are at least 1")
    if not present("wengert"):
        parser.error("wengert is not installed: pip install -e .")
    chosen = options.sections or list(SECTIONS)
    if options.write and COUNT != 1:
        parser.error("--write: the document is of one thread; unset WENGERT_BENCH_THREADS")
    if options.write:  # known before minutes of measuring, not after
        if not present("torch"):
            parser.error("--write needs PyTorch (the extra `parity`): the document compares with it")
        try:
            text = options.write.read_text(encoding="utf-8")
            for section in chosen:
                replaced(text, section, "")
        except (OSError, ValueError) as error:
            parser.error(f"--write: {error}")

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without "µ" still gets its figures
    records = {}
    for section in chosen:
        where = machine(engine("wengert:cpu").T.__version__)
        settings = Settings(options.rounds, options.chain, options.only)
        if not present("torch"):
            settings.notes.append("PyTorch is not installed (the extra `parity`): what is compared with it is wengert's alone.")
        found = SECTIONS[section](settings)
        settings.say("")
        settings.notes += [f"The machine was noisy: {problem}." for problem in settings.noise.problems()]
        words = ["python benchmarks/compare.py", section, *(["--only", *options.only] if options.only else [])]
        parts = [f"`{' '.join(words)}`: {listed(where)}.", told(section, found), *settings.notes]
        print("\n\n".join([f"## {section}", *parts]), flush=True)
        records[section] = {"machine": where, "notes": settings.notes, "figures": kept(found)}
        if options.write:
            picture = options.write.with_suffix(".svg")
            if section == "small" and present("matplotlib"):
                draw(found, picture)
                parts.append(f"![The ratios as bars, the peer's 1 and the targets as lines]({picture.name})")
            text = options.write.read_text(encoding="utf-8")
            options.write.write_text(replaced(text, section, "\n\n".join(parts)), encoding="utf-8")
    if options.json:
        options.json.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
