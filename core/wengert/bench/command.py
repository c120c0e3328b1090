"""The command `wengert bench`: a table of ops by size, a column for each device, and what a call costs anywhere.

Owns: the choice of sizes and devices, the table, the JSON. May import: wengert's public names, `kernels`, `timing`, and, to
wait for a device, backend. Must not know: any device by name. Progress goes to a terminal; a pipe gets the table alone.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import statistics
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wengert import __version__, backend
from wengert.backend import DeviceInfo
from wengert.bench.kernels import KERNELS, prepared
from wengert.bench.timing import Noise, paired, quartiles, sample

SIZES = (1_000, 1_000_000)
SAMPLES = 5
CHAIN = 100  # ops, of which the cost of a node is a hundredth
UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (0.0, "ns"))
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
Measured = dict[str, Any]


def options(parser: argparse.ArgumentParser) -> None:
    """Give a parser this command's options."""
    add = parser.add_argument
    add("--device", nargs="+", metavar="NAME", help="as `wengert devices` names them (default: all that can be used)")
    add("--size", nargs="+", type=whole, default=list(SIZES), metavar="N", help="elements, such as 1000 1e6 (the default)")
    add("--op", nargs="+", choices=list(KERNELS), metavar="NAME", help=f"of {', '.join(KERNELS)} (default: all)")
    add("--seconds", type=positive, default=0.1, metavar="S", help="how long each figure is measured (%(default)s)")
    add("--json", action="store_true", help="print everything as JSON, not as tables")


def whole(text: str) -> int:
    """Read a size: 1000, 1e6, 1_000_000. Raises argparse's error for what is no whole number from 1."""
    try:
        value = float(text)
        if value >= 1 and value == int(value):
            return int(value)
    except (ValueError, OverflowError):
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")


def positive(text: str) -> float:
    """Read a positive, finite number of seconds."""
    try:
        value = float(text)
        if 0 < value < float("inf"):
            return value
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not a positive number of seconds")


def chosen_devices(infos: Sequence[DeviceInfo], names: Sequence[str] | None) -> list[DeviceInfo]:
    """Return the devices to measure. Raises ValueError for a name that is not there, or cannot be used or measured."""
    if not names:
        return [info for info in infos if info.available and holds_values(info.name)]
    found = []
    for name in dict.fromkeys(names):
        info = next((i for i in infos if i.name in (name, f"{name}:0")), None)
        if info is None:
            raise ValueError(f"no device {name!r}; there are {', '.join(i.name for i in infos)}")
        if not info.available:
            raise ValueError(f"device {name!r} cannot be used: {info.description}")
        if not holds_values(info.name):
            raise ValueError(f"device {name!r} holds no values: it moves no memory that could be measured")
        found.append(info)
    return found


def holds_values(name: str) -> bool:
    """Say whether a device computes; one that fails is not refused here, but told of in the table."""
    torch: Any = importlib.import_module("wengert")
    try:
        return not torch.empty(1, device=name).is_meta
    except Exception:
        return True


class Progress:
    """One line on a terminal that says what is being measured; nothing anywhere else."""

    def __init__(self) -> None:
        self.shown = sys.stderr.isatty()

    def say(self, text: str) -> None:
        if self.shown:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


# ---- measuring
def waiting(name: str) -> tuple[backend.device, Callable[[Any], object]]:
    """Return a device, and a function that waits until it has done all it was given."""
    place = backend.device(name)
    synchronize, index = place.backend.synchronize, place.index or 0
    return place, lambda out: synchronize(index)


def measure_op(torch: Any, device: Any, wait: Callable[[Any], object], name: str, size: int, least: float) -> Measured:
    """Return what one op does at one size on one device, or why it does not."""
    kernel = KERNELS[name]
    row: Measured = {"op": name, "family": kernel.family, "size": size}
    try:
        run = prepared(kernel, torch, lambda array: torch.from_numpy(array).to(device), wait, size)
        with torch.no_grad():
            run(1)  # where a kernel is compiled first, that is not its time
            taken = sample(run, SAMPLES, least / SAMPLES)
    except (MemoryError, NotImplementedError, RuntimeError) as error:  # no kernel, or no room
        return {**row, "missing": " ".join(str(error).split()) or type(error).__name__}
    flops, moved = kernel.work(size)
    low, middle, high = quartiles(taken)
    return {**row, "seconds": middle, "quartiles": [low, high], "gb_per_s": moved / middle / 1e9,
            "gflop_per_s": flops / middle / 1e9 if flops else None}  # fmt: skip


def overhead(torch: Any, device: Any, wait: Callable[[Any], object]) -> dict[str, float]:
    """Return seconds of a call on one element: nothing recorded, recorded, and a node's backward."""
    p = torch.ones(1, device=device).requires_grad_()
    c = torch.ones(1, device=device)

    def calls(a: Any) -> Callable[[int], None]:
        def run(times: int) -> None:
            for _ in range(times):
                a * c
            wait(None)

        return run

    def chain(backward: bool) -> Callable[[int], None]:
        def run(times: int) -> None:
            for _ in range(times):
                y = p
                for _ in range(CHAIN):
                    y = y * c
                if backward:
                    torch.autograd.grad(y, p)
            wait(None)

        return run

    forward, both = chain(False), chain(True)
    node = statistics.median(a - b for a, b in paired(both, forward, SAMPLES)) / CHAIN
    return {
        "call": statistics.median(sample(calls(c), SAMPLES)),
        "recorded": statistics.median(sample(calls(p), SAMPLES)),
        "backward": node,
    }


def measure(
    infos: Sequence[DeviceInfo], sizes: Sequence[int], ops: Sequence[str], least: float, progress: Progress
) -> Measured:
    """Return all figures, and what has to be said beside them."""
    torch: Any = importlib.import_module("wengert")  # its functions are bound when it is imported
    noise = Noise()
    devices: list[Measured] = []
    for info in infos:
        progress.say(f"{info.name}: a call of one element ...")
        found: Measured = {"name": info.name, "description": info.description, "ops": []}
        devices.append(found)
        try:
            device, wait = waiting(info.name)
            found["overhead"] = overhead(torch, device, wait)
        except Exception as error:  # a driver that lists a device and cannot run on it: the others still can
            found["missing"] = " ".join(f"{type(error).__name__}: {error}".split())
            continue
        rows: list[Measured] = found["ops"]
        for size in sizes:
            for name in ops:
                progress.say(f"{info.name}: {name}, {size:,} elements ({len(rows) + 1}/{len(sizes) * len(ops)}) ...")
                row = measure_op(torch, device, wait, name, size, least)
                rows.append(row)
                if "seconds" in row:
                    noise.seen(row["quartiles"])
    progress.say("")
    return {
        "wengert": __version__, "python": platform.python_version(), "numpy": np.__version__,
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "threads": {name: os.environ[name] for name in THREADS if name in os.environ},
        "load": noise.load, "noise": noise.problems(), "devices": devices,
    }  # fmt: skip


# ---- telling
def shown(value: float) -> str:
    """Show seconds in the unit that gives one to three digits before the point."""
    least, unit = next((least, unit) for least, unit in UNITS if value >= least)
    scaled = value / (least or 1e-9)
    return f"{scaled:.3g} {unit}" if scaled < 1000 else f"{scaled:.0f} {unit}"


def rate(value: float | None) -> str:
    """Show a rate to two digits, or nothing."""
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def tell(found: Measured) -> list[str]:
    """Return the lines of the tables."""
    lines = [f"wengert {found['wengert']}, Python {found['python']}, NumPy {found['numpy']}, {found['machine']}"]
    threads = ", ".join(f"{name}={value}" for name, value in found["threads"].items())
    lines += [f"threads: {threads or 'as many as each library takes'}", ""]
    for device in found["devices"]:
        if "missing" in device:
            lines.append(f"{device['name']} cannot be measured: {device['missing']}")
            continue
        cost = {key: shown(max(value, 0.0)) for key, value in device["overhead"].items()}
        lines.append(f"{device['name']}: {device['description']}")
        lines.append(
            f"  a product of one element takes {cost['call']}, recorded {cost['recorded']}, its backward {cost['backward']}"
        )
    devices = [device for device in found["devices"] if device["ops"]]
    missing: dict[str, None] = {}
    for size in dict.fromkeys(row["size"] for device in devices[:1] for row in device["ops"]):
        head = ["op", *(cell for d in devices for cell in (d["name"], "GB/s", "GFLOP/s"))]
        rows = [head]
        for i, first in enumerate(devices[0]["ops"]):
            if first["size"] != size:
                continue
            cells = [first["op"]]
            for device in devices:
                row = device["ops"][i]
                if "missing" in row:
                    missing[f"{device['name']}, {row['op']}: {row['missing']}"] = None
                    cells += ["-", "", ""]
                else:
                    cells += [shown(row["seconds"]), rate(row["gb_per_s"]), rate(row["gflop_per_s"])]
            rows.append(cells)
        widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
        lines += ["", f"{size:,} elements, float32"]
        for row in rows:
            cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
            lines.append("  " + "  ".join(cells).rstrip())
    if missing:
        lines += ["", *missing]
    lines += [f"\nnote: {problem}" for problem in found["noise"]]
    return lines


def run(chosen: argparse.Namespace, infos: Sequence[DeviceInfo]) -> int:
    """Measure and print; return the exit status, 2 for a device that is not there."""
    try:
        devices = chosen_devices(infos, chosen.device)
        if not devices:
            raise ValueError("no device can be used: `wengert devices` says why")
    except ValueError as error:
        print(f"wengert bench: {error}", file=sys.stderr)
        return 2
    sizes = list(dict.fromkeys(chosen.size))
    found = measure(devices, sizes, chosen.op or list(KERNELS), chosen.seconds, Progress())
    print(json.dumps(found, indent=1) if chosen.json else "\n".join(tell(found)))
    return 0
