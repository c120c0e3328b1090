"""asv's results, read from its JSON: the newest commit that has any, and the one before.

Owns: what asv's files look like. May import: the standard library. Must not know: any benchmark, any page.
"""

from __future__ import annotations

import ast
import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Key = tuple[Any, ...]  # the values of a benchmark's parameters


@dataclass
class Benchmark:
    """What is known of a benchmark: names of its parameters, unit, type."""

    name: str
    names: list[str]
    unit: str


@dataclass
class Run:
    """One commit on one machine: values by benchmark and parameters."""

    machine: str
    commit: str
    date: int  # of the commit, in milliseconds
    environment: str
    values: dict[str, dict[Key, float]] = field(default_factory=dict)
    samples: list[int] = field(default_factory=list)  # how many each timed figure was made of

    def found(self, benchmark: str) -> dict[Key, float]:
        return self.values.get(benchmark, {})


def read(path: Path) -> Any:
    """Return a JSON file. Raises ValueError for one that is not."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: {error}") from error


def parsed(text: str) -> Any:
    """Return a parameter's value: asv keeps its text as `repr` gives it."""
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


def benchmarks(folder: Path) -> dict[str, Benchmark]:
    """Return the benchmarks that asv knows. Raises ValueError where it has not run yet."""
    path = folder / "benchmarks.json"
    if not path.exists():
        raise ValueError(f"{path} is not there: `asv run` makes it")
    return {
        name: Benchmark(name, list(entry.get("param_names", [])), str(entry.get("unit", "")))
        for name, entry in read(path).items()
        if isinstance(entry, dict)
    }


def values(row: list[Any], columns: list[str]) -> dict[Key, float]:
    """Return the numbers of one benchmark by its parameters; what is missing or n/a is left out."""
    cells = dict(zip(columns, row, strict=False))
    result, params = cells.get("result"), cells.get("params") or []
    if not isinstance(result, list):
        return {}
    keys = itertools.product(*([parsed(v) for v in choices] for choices in params))
    return {
        key: float(value)
        for key, value in zip(keys, result, strict=False)
        if isinstance(value, int | float) and math.isfinite(value)
    }


def runs(folder: Path) -> Iterator[Run]:
    """Yield what was run, in any order."""
    for path in sorted(folder.glob("*/*.json")):
        if path.name == "machine.json":
            continue
        found = read(path)
        if "results" not in found:
            continue
        run = Run(path.parent.name, found["commit_hash"], int(found["date"]), str(found.get("env_name", "")))
        for name, row in found["results"].items():
            if row is not None and (known := values(row, found["result_columns"])):
                run.values[name] = known
                repeats = dict(zip(found["result_columns"], row, strict=False)).get("stats_repeat") or []
                run.samples += [int(count) for count in repeats if count]
        if run.values:
            yield run


def latest(folder: Path) -> dict[str, list[Run]]:
    """Return the runs by machine, the newest commit first. Raises ValueError where there are none."""
    found: dict[str, list[Run]] = {}
    for run in sorted(runs(folder), key=lambda run: (-run.date, run.environment)):
        found.setdefault(run.machine, []).append(run)
    if not found:
        raise ValueError(f"{folder} holds no results: `asv run` makes them")
    return found


def changes(new: Run, old: Run, least: float = 1.1) -> list[tuple[str, Key, float, float]]:
    """Return (benchmark, parameters, old, new) where a value changed by more than a factor, the greatest change first."""
    found = []
    for name, known in new.values.items():
        before = old.found(name)
        for key, value in known.items():
            if key in before and value > 0 and before[key] > 0 and max(value / before[key], before[key] / value) >= least:
                found.append((name, key, before[key], value))
    return sorted(found, key=lambda change: -abs(math.log(change[3] / change[2])))
