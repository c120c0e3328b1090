"""The benchmarks run: each class of the asv suite once, its configuration, and the script that takes the ratios.

Owns the proof of benchmarks/. May import: pytest; the suite as a package, by its path. Must not know: how fast
anything is, which no test on a busy machine could say.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import itertools
import json
import os
import re
import subprocess
import sys
import time
import tomllib
import xml.etree.ElementTree
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
BENCHMARKS = ROOT / "benchmarks"
KINDS = ("time_", "timeraw_", "track_", "peakmem_")
WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; import ratios; sys.exit(ratios.main(sys.argv[1:]))"


def load(path: Path, name: str) -> ModuleType:
    """Import a file or a package by its path; the threads that it pins are not the other tests' affair."""
    where = path / "__init__.py" if path.is_dir() else path
    spec = importlib.util.spec_from_file_location(name, where, submodule_search_locations=[str(path)])
    assert spec is not None and spec.loader is not None
    environment, search = dict(os.environ), list(sys.path)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path[:] = search
        for key in os.environ.keys() - environment.keys():
            del os.environ[key]
        os.environ.update(environment)


def suite() -> dict[str, ModuleType]:
    """Return the suite's modules by name."""
    load(BENCHMARKS / "benchmarks", "benchmarks")
    names = sorted(path.stem for path in (BENCHMARKS / "benchmarks").glob("[!_]*.py"))
    return {name: importlib.import_module(f"benchmarks.{name}") for name in names}


SUITE = suite()
ratios = load(BENCHMARKS / "ratios.py", "ratios")


def methods(found: type) -> list[str]:
    return [name for name in dir(found) if name.startswith(KINDS)]


CLASSES = [
    found
    for module in SUITE.values()
    for found in vars(module).values()
    if inspect.isclass(found) and found.__module__ == module.__name__ and methods(found)
]
each_class = pytest.mark.parametrize("found", CLASSES, ids=lambda found: f"{found.__module__}.{found.__name__}")


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do a few of what the benchmarks do a thousand times: they are not timed here."""
    for module in SUITE.values():
        for name, few in {"CALLS": 2, "RANGE": range(2), "STEPS": 2, "LENGTH": 10}.items():
            if hasattr(module, name):
                monkeypatch.setattr(module, name, few)
    monkeypatch.setattr(SUITE["calls"], "paired", lambda ours, theirs, pairs: [(ours(1), theirs(1))])


def choices(found: type) -> list[tuple[Any, ...]]:
    """Return the parameters of each run; none for a class without."""
    return list(itertools.product(*getattr(found, "params", ())))


def run(found: type, parameters: tuple[Any, ...]) -> None:
    """Do what asv does once: set a class up for each of its benchmarks and call it."""
    for name in methods(found):
        benchmark = found()
        if hasattr(benchmark, "setup"):
            benchmark.setup(*parameters)
        result = getattr(benchmark, name)(*parameters)
        if name.startswith("timeraw_"):
            code = [result] if isinstance(result, str) else [*result][::-1]  # the setup comes second
            subprocess.run([sys.executable, "-c", "\n".join(code)], check=True, timeout=60)
        elif name.startswith("track_"):
            assert isinstance(result, float)
        else:
            assert result is None


@each_class
def test_each_benchmark_runs(found: type, little: None) -> None:
    for parameters in choices(found):
        if not parameters or parameters[0] == "wengert":
            run(found, parameters)


@pytest.mark.parity
@pytest.mark.parametrize("found", [found for found in CLASSES if found.__name__ not in ("Import", "Plugins")])
def test_each_benchmark_runs_in_pytorch(found: type, little: None) -> None:
    """The same programs in both, so all that a benchmark uses has to be in both."""
    import torch

    threads = torch.get_num_threads()
    try:
        for parameters in choices(found):
            if parameters and parameters[0] == "torch":
                run(found, parameters)
    finally:
        torch.set_num_threads(threads)


@each_class
def test_without_pytorch_its_figures_are_absent(found: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parameters are the same whatever is installed, and asv takes NotImplementedError for "n/a"."""
    monkeypatch.setitem(sys.modules, "torch", None)
    for parameters in choices(found):
        if parameters and parameters[0] == "torch":
            with pytest.raises(NotImplementedError, match="torch is not installed"):
                found().setup(*parameters)


def test_every_parameter_has_its_name() -> None:
    for found in CLASSES:
        parameters = getattr(found, "params", ())
        assert len(parameters) == len(getattr(found, "param_names", ())), found
        assert not parameters or {"wengert", "torch"} <= set(parameters[0]), found


def test_the_suite_pins_the_threads_before_numpy_is_there() -> None:
    code = (
        "import os, sys, benchmarks\n"
        "assert 'numpy' not in sys.modules\n"
        "print(*(os.environ[name] for name in benchmarks.THREADS))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "OMP_NUM_THREADS": "7", "PYTHONPATH": str(BENCHMARKS)},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("1 1 1\n", "")


# ---- asv.conf.json
def test_asv_measures_this_distribution() -> None:
    """asv uninstalls by this name; with another one every commit would measure the first build."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    settings = json.loads((BENCHMARKS / "asv.conf.json").read_text(encoding="utf-8"))
    assert settings["project"] == project["name"]
    assert (BENCHMARKS / settings["repo"]).resolve() == ROOT
    assert (BENCHMARKS / settings["benchmark_dir"] / "__init__.py").is_file()
    required = settings["matrix"]["req"]
    assert f"torch=={required['torch'][0]}" in project["optional-dependencies"]["parity"]
    assert all(re.fullmatch(r"\d+(\.\d+)+", *versions) for versions in required.values())


# ---- ratios.py
def figure(**changes: Any) -> Any:
    return ratios.Figure(**{"name": "a", "unit": "µs", "peer": "b", "kind": "ratio", "ours": [1e-6], **changes})


def test_ratios_without_pytorch_says_so_and_measures_the_rest(tmp_path: Path) -> None:
    kept = tmp_path / "figures.json"
    path = os.pathsep.join([str(BENCHMARKS), os.environ.get("PYTHONPATH", "")])
    options = ["--runs", "1", "--chain", "1000", "--json", str(kept), "--svg", str(tmp_path / "none.svg")]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT_TORCH, *options], cwd=tmp_path, capture_output=True,
        env={**os.environ, "PYTHONPATH": path, "PYTHONUTF8": "1"}, text=True, encoding="utf-8", timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")  # a pipe gets no progress line
    assert "PyTorch is not installed (the extra `parity`)" in done.stdout
    assert "No picture: " in done.stdout and not (tmp_path / "none.svg").exists()
    rows = {row["name"]: row for row in json.loads(kept.read_text(encoding="utf-8"))["figures"]}
    for name in ("`(x - 3) ** 2` and SGD, a step", "two equations and SGD, a step"):
        assert len(rows[name]["ours"]) == 1 and rows[name]["theirs"] == [] and rows[name]["met"] is None
    for name in ("`p * c` of one element, recorded", "`import`"):
        assert len(rows[name]["values"]) == 1 and rows[name]["met"] in (True, False)
    for row in rows.values():
        assert f"| {row['name']} " in done.stdout
    for line in (r"processor: .+ cores", r"NumPy: \d.*", r"PyTorch: not installed", r"wengert: \d.*"):
        assert re.search(f"^- {line}", done.stdout, re.M)


@pytest.mark.parametrize(
    ("changes", "outcome", "target", "verdict"),
    [
        ({"theirs": [4e-6], "target": 0.25}, "0.25 (0.25 to 0.25)", "≤ 0.25", "pass"),
        ({"theirs": [2e-6], "target": 0.25}, "0.50 (0.50 to 0.50)", "≤ 0.25", "FAIL"),
        ({"ours": [3e-6, 1e-6, 8e-6], "theirs": [1e-6, 1e-6, 4e-6], "target": 2.5},
         "2.00 (1.00 to 3.00)", "≤ 2.5", "pass"),
        ({"kind": "difference", "ours": [2e-6], "theirs": [5e-7], "target": 1.2e-6},
         "+1.50 µs (+1.50 to +1.50)", "≤ +1.2 µs", "FAIL"),
        ({"kind": "alone", "unit": "%", "ours": [0.99], "target": 0.95, "at_least": True}, "", "≥ 95 %", "pass"),
        ({"target": 0.25}, "", "≤ 0.25", "not compared"),
        ({"theirs": [2e-6]}, "0.50 (0.50 to 0.50)", "", ""),
    ],
)  # fmt: skip
def test_a_figure_is_judged_by_the_median_of_its_pairs(
    changes: dict[str, Any], outcome: str, target: str, verdict: str
) -> None:
    assert figure(**changes).cells()[3:] == [outcome, target, verdict]


def test_samples_come_in_pairs_that_turn_round() -> None:
    order = []

    def named(name: str) -> Callable[[int], None]:
        def run(times: int) -> None:
            order.append(name)
            time.sleep(1e-3 * times)

        return run

    found = ratios.paired(named("a"), named("b"), 2)
    assert "".join(order[-4:]) == "abba"
    assert len(found) == 2 and all(seconds >= 1e-3 for pair in found for seconds in pair)


@pytest.mark.parametrize("cost", [0, 1e-5, 0.03])
def test_samples_last_long_enough(cost: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that only the measured program moves, also by nothing at first."""
    clock = [0.0]
    monkeypatch.setattr(SUITE["common"], "time", SimpleNamespace(perf_counter=lambda: clock[0]))

    def run(times: int) -> None:
        clock[0] += cost * times if cost else (times > 500) * 0.5

    assert SUITE["common"].repetitions(run) * cost >= 0.02 or not cost


def test_a_document_gets_its_new_block_and_keeps_the_rest() -> None:
    begin, end = ratios.MARKS
    assert ratios.replaced(f"x\n{begin}\nold\n{end}\ny\n", "new") == f"x\n{begin}\n\nnew\n\n{end}\ny\n"
    for text in ("", begin, f"{end}\n{begin}", f"{begin}{begin}{end}"):
        with pytest.raises(ValueError, match="needs the lines"):
            ratios.replaced(text, "new")
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert "new" in ratios.replaced(page, "new")


def test_the_picture_has_a_bar_for_each_ratio(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra `demo`)")
    figures = [figure(name="`one`", theirs=[2e-6], target=0.6), figure(theirs=[1e-6]), figure(kind="alone")]
    for name in ("one.svg", "same.svg"):
        ratios.draw(figures, tmp_path / name)
    assert xml.etree.ElementTree.parse(tmp_path / "one.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "same.svg").read_bytes()
