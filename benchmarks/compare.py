"""Run training steps of wengert and its peers side by side, in one process, in turn, and print the ratios.

Owns: the command `python benchmarks/compare.py [NAME...] [--runs N] [--compiled] [--write FILE]`. May import: the suite's
workloads and timing. Must not know: how any library does it. One thread on every side; a noisy machine is noticed and said.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from benchmarks.common import load  # noqa: E402  (it also pins the threads, before NumPy is there)
from benchmarks.training import WORKLOADS  # noqa: E402

MARKS = ("<!-- training: begin -->", "<!-- training: end -->")
NOISE = 1.5  # the middle half of PyTorch's own times may spread so far before the machine counts as noisy


def clock(step: Any) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def compare(name: str, runs: int, compiled: bool) -> tuple[str, float, float, float, float]:
    """Return (name, our seconds, theirs, ratio, spread of theirs): medians, the ratio pair by pair."""
    wengert, torch = load("wengert"), load("torch")
    ours, theirs = WORKLOADS[name](wengert), WORKLOADS[name](torch)
    for _ in range(3):
        a, b = float(ours().item()), float(theirs().item())
        if not math.isclose(a, b, rel_tol=1e-3):
            raise SystemExit(f"{name}: the loss is {a} in wengert and {b} in PyTorch: nothing to compare")
    if compiled:
        ours = wengert.compile(ours)
        ours(), ours()
    found = []
    for i in range(runs):
        pair = (clock(ours), clock(theirs)) if i % 2 else tuple(reversed((clock(theirs), clock(ours))))
        found.append(pair)
    times = sorted(b for _, b in found)
    spread = times[3 * len(times) // 4] / times[len(times) // 4]
    ratio = statistics.median(a / b for a, b in found)
    return name, statistics.median(a for a, _ in found), statistics.median(times), ratio, spread


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"of {', '.join(WORKLOADS)}")
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--compiled", action="store_true", help="wengert.compile the step; PyTorch stays eager")
    parser.add_argument("--write", type=Path, help="put the table between the marks of this page")
    options = parser.parse_args()
    if load("torch") is None:
        print("PyTorch is not installed: nothing to compare with (the extra 'parity')")
        return 1
    rows, ratios, noisy = [], [], False
    for name in options.names or WORKLOADS:
        title, ours, theirs, ratio, spread = compare(name, options.runs, options.compiled)
        noisy |= spread > NOISE
        ratios.append(ratio)
        rows.append(f"| {title.replace('_', ' ')} | {ours * 1e3:.2f} ms | {theirs * 1e3:.2f} ms | {ratio:.2f} | {spread:.2f} |")
        print(rows[-1], flush=True)
    mean = math.exp(statistics.fmean(map(math.log, ratios)))
    rows.append(f"| geometric mean | | | {mean:.2f} | |")
    print(rows[-1])
    if noisy:
        print("The machine is noisy: PyTorch's own times spread by more than half; take the ratios with care.")
    if options.write:
        mode = "compiled" if options.compiled else "eager"
        head = f"| training step, wengert {mode} | wengert | PyTorch eager | ratio | spread |\n| --- | --- | --- | --- | --- |"
        text = options.write.read_text(encoding="utf-8")
        begin, end = (m.replace("training", f"training {mode}") for m in MARKS)
        before, rest = text.split(begin)
        table = "\n".join([head, *rows])
        options.write.write_text(f"{before}{begin}\n{table}\n{end}{rest.split(end)[1]}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
