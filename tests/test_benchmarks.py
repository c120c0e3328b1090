"""The benchmarks run: each class of the asv suite once, its configuration, the comparison, and the dashboards.

Owns the proof of benchmarks/. May import: pytest; the suite as a package, by its path. Must not know: how fast
anything is, which no test on a busy machine could say.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import importlib
import importlib.util
import inspect
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import tomllib
import xml.etree.ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
BENCHMARKS = ROOT / "benchmarks"
KINDS = ("time_", "timeraw_", "track_", "peakmem_")
WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; import compare; sys.exit(compare.main(sys.argv[1:]))"


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
PEERS = ("torch", "jax", "autograd", "mygrad", "tinygrad")
ENGINES, TAPES = SUITE["engines"].ENGINES, SUITE["engines"].TAPES
report = load(BENCHMARKS / "report.py", "report")
publish = load(BENCHMARKS / "publish.py", "publish")
dashboard = SimpleNamespace(**{name: importlib.import_module(f"dashboard.{name}") for name in ("page", "plots", "results")})


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
    timing = SUITE["common"].timing
    monkeypatch.setattr(timing, "repetitions", lambda *runs, least=0: [run(1) for run in runs] and 1)
    monkeypatch.setattr(SUITE["ops"], "SAMPLES", 1)
    monkeypatch.setattr(SUITE["ops"], "LARGE", 10_000)
    monkeypatch.setattr(SUITE["ops"], "HUGE", 10_000)


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
        if hasattr(benchmark, "teardown"):
            benchmark.teardown(*parameters)
        if name.startswith("timeraw_"):
            code = [result] if isinstance(result, str) else [*result][::-1]  # the setup comes second
            subprocess.run([sys.executable, "-c", "\n".join(code)], check=True, timeout=60)
        elif name.startswith("track_"):
            assert isinstance(result, float)
        else:
            assert result is None


@each_class
def test_each_benchmark_runs(found: type, little: None) -> None:
    done = 0
    for parameters in choices(found):
        if not parameters or parameters[0] in ("wengert:cpu", "wengert"):
            with contextlib.suppress(NotImplementedError):  # a loop is not compiled
                run(found, parameters)
                done += 1
    assert done


def test_each_benchmark_of_the_tape_runs_on_opencl(little: None) -> None:
    """What only the device decides: the classes are the same."""
    try:
        place = SUITE["engines"].engine("wengert:opencl")
    except NotImplementedError as error:
        pytest.skip(f"no OpenCL device: {error}")
    for name in ("parabola", "mlp"):
        step = place.step(SUITE["training"].WORKLOADS[name])
        first, second = float(step().item()), float(step().item())
        assert second < first
    run(SUITE["graphs"].Chain, ("wengert:opencl",))
    import wengert

    assert str(wengert.get_default_device()) == "cpu"


@pytest.mark.parity
@pytest.mark.parametrize("found", [c for c in CLASSES if c.__name__ not in ("Import", "Plugins", "Capture")])
def test_each_benchmark_runs_in_pytorch(found: type, little: None) -> None:
    """The same programs in both, so all that a benchmark uses has to be in both; its compiler takes minutes, and is left out."""
    import torch

    threads = torch.get_num_threads()
    try:
        for parameters in choices(found):
            if parameters and parameters[0] in ("torch", "torch:cpu") and "captured" not in parameters:
                run(found, parameters)
    finally:
        torch.set_num_threads(threads)


@each_class
def test_what_is_not_installed_is_absent(found: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parameters are the same whatever is installed, and asv takes NotImplementedError for "n/a"."""
    SUITE["engines"].engine.cache_clear()
    for library in PEERS:
        monkeypatch.setitem(sys.modules, library, None)
    for parameters in choices(found):
        if parameters and parameters[0].partition(":")[0] in PEERS:
            benchmark = found()
            with pytest.raises(NotImplementedError, match="is not installed|meant to be compiled"):
                benchmark.setup(*parameters)
            if hasattr(benchmark, "teardown"):  # asv also asks then
                benchmark.teardown(*parameters)


@pytest.mark.parametrize("name", list(SUITE["training"].WORKLOADS))
def test_every_engine_takes_the_same_steps(name: str) -> None:
    """Three steps by every engine that is installed give the same losses: so what is timed is the same work."""
    losses: dict[str, list[float]] = {}
    for title in ENGINES:
        try:
            place = SUITE["engines"].engine(title)
            for mode in ["eager"] if title.startswith("torch") else ["eager", "captured"]:
                step = place.step(SUITE["training"].WORKLOADS[name], mode)
                losses[f"{title} {mode}"] = [float(step().reshape(-1)[0].item()) for _ in range(3)]
        except NotImplementedError:
            continue
    expected = losses["wengert:cpu eager"]
    assert expected[0] > expected[-1]
    for title, found in losses.items():
        assert found == pytest.approx(expected, rel=1e-4), title


def test_every_parameter_has_its_name() -> None:
    for found in CLASSES:
        parameters = getattr(found, "params", ())
        assert len(parameters) == len(getattr(found, "param_names", ())), found
        assert not parameters or {"wengert:cpu", "torch:cpu"} <= set(parameters[0]) or set(parameters[0]) & {
            "wengert", "wengert:cpu"}, found  # fmt: skip


def test_the_suite_pins_the_threads_before_numpy_is_there() -> None:
    code = (
        "import os, sys, benchmarks\n"
        "assert 'numpy' not in sys.modules\n"
        "print(*(os.environ[name] for name in list(benchmarks.THREADS)[:5]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "OMP_NUM_THREADS": "7", "PYTHONPATH": str(BENCHMARKS)},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("1 1 1 1 1\n", "")


# ---- asv.conf.json
def test_asv_measures_this_distribution() -> None:
    """asv uninstalls by this name; with another one every commit would measure the first build."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    settings = json.loads((BENCHMARKS / "asv.conf.json").read_text(encoding="utf-8"))
    assert settings["project"] == project["name"]
    assert (BENCHMARKS / settings["repo"]).resolve() == ROOT
    assert (BENCHMARKS / settings["benchmark_dir"] / "__init__.py").is_file()
    threads = {name: value for name, (value,) in settings["matrix"]["env"].items()}
    assert threads.items() <= sys.modules["benchmarks"].THREADS.items()
    required = settings["matrix"]["req"]
    assert f"torch=={required['torch'][0]}" in project["optional-dependencies"]["parity"]
    assert all(re.fullmatch(r"\d+(\.\d+)+", *versions) for versions in required.values())


# ---- compare.py
def figure(**changes: Any) -> Any:
    return report.Figure(**{"name": "a", "unit": "µs", "peer": "b", "kind": "ratio", "ours": [1e-6], **changes})


def compare(tmp_path: Path, *options: str, code: str = WITHOUT_TORCH) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(BENCHMARKS), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *options], cwd=tmp_path, capture_output=True,
        env={**os.environ, "PYTHONPATH": path, "PYTHONUTF8": "1"}, text=True, encoding="utf-8", timeout=200,
    )  # fmt: skip


def test_compare_without_pytorch_says_so_and_measures_the_rest(tmp_path: Path) -> None:
    kept = tmp_path / "figures.json"
    done = compare(tmp_path, "small", "--rounds", "1", "--chain", "1000", "--json", str(kept))
    assert (done.returncode, done.stderr) == (0, "")  # a pipe gets no progress line
    assert "PyTorch is not installed (the extra `parity`)" in done.stdout
    rows = {row["name"]: row for row in json.loads(kept.read_text(encoding="utf-8"))["small"]["figures"]}
    for name in ("`(x - 3) ** 2` and SGD, a step", "two equations and SGD, a step"):
        assert len(rows[name]["ours"]) == 1 and rows[name]["theirs"] == [] and rows[name]["met"] is None
    for name in ("`p * c` of one element, recorded", "`import`"):
        assert len(rows[name]["values"]) == 1 and rows[name]["met"] in (True, False)
    for row in rows.values():
        assert f"| {row['name']} " in done.stdout
    where = r"^`python benchmarks/compare.py small`: \d{4}-\d\d-\d\d; .+ cores, .+; Python 3.+ NumPy \d.+ PyTorch .+ wengert \d"
    assert re.search(where, done.stdout, re.M)


@pytest.mark.parity
def test_compare_writes_its_tables_and_says_what_was_not_measured(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    sections = ("second", "training", "networks", "ops")
    page.write_text("".join("{}\nold\n{}\n".format(*report.marks(s)) for s in sections), encoding="utf-8")
    code = "import sys, compare; compare.HOST = compare.STEPS = compare.OPS = [('wengert:cpu', 'eager'), ('torch:cpu', 'eager'), "
    code += "('wengert:cuda', 'eager')]; sys.exit(compare.main(sys.argv[1:]))"
    names = ["hessian_vector", "vmap_grad", "vmap_grad_loop", "mlp", "exclusive_or", "add"]
    done = compare(tmp_path, *sections, "--rounds", "2", "--write", str(page), "--only", *names, code=code)
    assert (done.returncode, done.stderr) == (0, "")
    text = page.read_text(encoding="utf-8")
    assert "old" not in text
    ratio = r"\d+\.\d\d \(\d+\.\d\d–\d+\.\d\d\)"
    for name in ("hessian vector", "vmap grad", "mlp", "exclusive or", "add"):
        assert re.search(rf"^\| {name} +\| [\d.]+ (µs|ms|s) +\| {ratio} +\|$", text, re.M), (name, text)
    assert re.search(r"^\| `vmap_grad` +\|.*\| \d+ +\|$", text, re.M)
    assert "- wengert CUDA: " in text or "wengert CUDA |" in text


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["nonsense"], "no section 'nonsense'"),
        (["training", "--only", "mlpp"], "nothing is called 'mlpp'"),
        (["--rounds", "0"], "at least 1"),
        (["small", "--write", "nowhere.md"], "--write needs PyTorch"),
    ],
)
def test_compare_says_what_is_wrong_before_it_measures(tmp_path: Path, options: list[str], reason: str) -> None:
    done = compare(tmp_path, *options)
    assert done.returncode == 2 and reason in done.stderr


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

    found = SUITE["common"].timing.paired(named("a"), named("b"), 2)
    assert "".join(order[-4:]) == "abba"
    assert len(found) == 2 and all(seconds >= 1e-3 for pair in found for seconds in pair)


@pytest.mark.parametrize("cost", [0, 1e-5, 0.03])
def test_samples_last_long_enough(cost: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that only the measured program moves, also by nothing at first."""
    clock = [0.0]
    timing = SUITE["common"].timing
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: clock[0]))

    def run(times: int) -> None:
        clock[0] += cost * times if cost else (times > 500) * 0.5

    assert timing.repetitions(run) * cost >= 0.02 or not cost


def test_rounds_begin_with_another_each_time() -> None:
    order: list[str] = []

    def named(name: str) -> Callable[[int], None]:
        return lambda times: order.append(name)

    found = SUITE["common"].timing.rounds({name: named(name) for name in "abc"}, 3, least=0)
    assert "".join(order[-9:]) == "abcbcacab"
    assert {name: len(samples) for name, samples in found.items()} == dict.fromkeys("abc", 3)


def test_a_noisy_machine_is_noticed() -> None:
    noise = SUITE["common"].timing.Noise()
    assert noise.problems() == []
    noise.spent["a"] = [1.0, 0.97]
    noise.seen([1.0, 1.01, 1.02, 1.0, 1.01])
    assert noise.problems() == []
    noise.spent["b"] = [3.0, 1.0]
    noise.seen([1.0, 1.0, 2.0, 2.0, 2.0])
    noise.seen([1.0, 1.0, 2.0, 2.0, 2.0])
    share, spread = noise.problems()
    assert "a processor for 49% of the time only" in share and "100% longer" in spread
    noise.spent = {"c": [1.0, 1.9]}
    assert noise.problems()[0] == "c kept 1.9 processors busy, and not one"


def test_processor_time_is_counted() -> None:
    noise = SUITE["common"].timing.Noise()
    with noise.watched("asleep"):
        time.sleep(0.05)
    wall, used = noise.spent["asleep"]
    assert wall >= 0.05 and used < 0.04


def test_a_document_gets_its_new_block_and_keeps_the_rest() -> None:
    begin, end = report.marks("small")
    assert report.replaced(f"x\n{begin}\nold\n{end}\ny\n", "small", "new") == f"x\n{begin}\n\nnew\n\n{end}\ny\n"
    for text in ("", begin, f"{end}\n{begin}", f"{begin}{begin}{end}"):
        with pytest.raises(ValueError, match="needs the lines"):
            report.replaced(text, "small", "new")
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    for section in ("small", "second", "training", "networks", "ops"):
        assert "new" in report.replaced(page, section, "new")


def test_the_picture_has_a_bar_for_each_ratio(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra `demo`)")
    figures = [figure(name="`one`", theirs=[2e-6], target=0.6), figure(theirs=[1e-6]), figure(kind="alone")]
    for name in ("one.svg", "same.svg"):
        report.draw(figures, tmp_path / name)
    assert xml.etree.ElementTree.parse(tmp_path / "one.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "same.svg").read_bytes()


# ---- wengert bench
def bench(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "wengert", "bench", *options],
        capture_output=True, env={**os.environ, "PYTHONUTF8": "1"}, text=True, encoding="utf-8", timeout=120,
    )  # fmt: skip


def test_bench_prints_a_table_and_no_progress_in_a_pipe() -> None:
    done = bench("--device", "cpu", "--size", "100", "1e3", "--op", "add", "matmul", "argsort", "--seconds", "0.001")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^cpu: NumPy .*\n  a product of one element takes [\d.]+ \ws, recorded ", done.stdout, re.M)
    for size in ("100", "1,000"):
        assert f"\n{size} elements, float32\n" in done.stdout
    assert len(re.findall(r"^  matmul +[\d.]+ [nµm]?s +[\d.]+ +[\d.]+$", done.stdout, re.M)) == 2
    assert len(re.findall(r"^  argsort +[\d.]+ [nµm]?s +[\d.]+$", done.stdout, re.M)) == 2  # sorting has no flops


def test_bench_gives_json() -> None:
    done = bench("--device", "cpu", "--size", "10000", "--seconds", "0.001", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    (device,) = json.loads(done.stdout)["devices"]
    kernels = SUITE["common"].kernels.KERNELS
    assert [row["op"] for row in device["ops"]] == list(kernels)
    for row in device["ops"]:
        flops, moved = kernels[row["op"]].work(10_000)
        assert row["gb_per_s"] == pytest.approx(moved / row["seconds"] / 1e9)
        assert row["gflop_per_s"] == (pytest.approx(flops / row["seconds"] / 1e9) if flops else None)
    assert all(device["overhead"][key] > 0 for key in ("call", "recorded"))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--device", "nonsense"], "no device 'nonsense'; there are cpu"),
        (["--size", "0"], "'0' is not a whole number from 1"),
        (["--size", "1.5"], "is not a whole number"),
        (["--size", "inf"], "is not a whole number"),
        (["--op", "nonsense"], "invalid choice: 'nonsense'"),
        (["--seconds", "nan"], "not a positive number"),
    ],
)
def test_bench_says_what_is_wrong(options: list[str], reason: str) -> None:
    done = bench(*options)
    assert done.returncode == 2 and reason in done.stderr and "Traceback" not in done.stderr


def test_bench_leaves_out_what_holds_no_values_and_tells_of_what_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    import wengert
    from wengert.backend import DeviceInfo
    from wengert.bench import command

    cpu, empty = DeviceInfo("cpu", True, "here"), DeviceInfo("meta", True, "nothing")
    monkeypatch.setattr(wengert, "empty", lambda *shape, device: SimpleNamespace(is_meta=device == "meta"))
    assert command.chosen_devices([cpu, empty, DeviceInfo("far", False, "no driver")], None) == [cpu]
    with pytest.raises(ValueError, match="'meta' holds no values"):
        command.chosen_devices([cpu, empty], ["meta"])
    with pytest.raises(ValueError, match="'far' cannot be used: no driver"):
        command.chosen_devices([cpu, DeviceInfo("far", False, "no driver")], ["far"])
    found = command.measure([DeviceInfo("nowhere", True, "listed"), cpu], [10], ["add"], 0.001, command.Progress())
    lines = "\n".join(command.tell(found))
    assert re.search("^nowhere cannot be measured: RuntimeError: unknown device 'nowhere'", lines, re.M)
    assert re.search(r"^  add +[\d.]+ [nµm]s", lines, re.M)


def test_bench_goes_on_where_a_device_has_no_kernel_or_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    import wengert
    from wengert.bench import command

    device, wait = command.waiting("cpu")
    for error in (NotImplementedError("no kernel for it"), MemoryError()):
        monkeypatch.setattr(command, "prepared", lambda *a, error=error: (_ for _ in ()).throw(error))
        row = command.measure_op(wengert, device, wait, "add", 10, 0.001)
        assert row["missing"] == (str(error) or "MemoryError")
        found = {"wengert": "", "python": "", "numpy": "", "machine": "", "threads": {}, "noise": ["a note"]}
        cost = dict.fromkeys(("call", "recorded", "backward"), 1e-6)
        lines = command.tell({**found, "devices": [{"name": "cpu", "description": "", "overhead": cost, "ops": [row]}]})
        assert f"cpu, add: {row['missing']}" in lines and lines[-1].endswith("note: a note")


@pytest.mark.parametrize("name", list(SUITE["common"].kernels.KERNELS))
@pytest.mark.parametrize("size", [1, 100, 5000])
def test_the_work_of_an_op_is_counted(name: str, size: int) -> None:
    """What is written is what the op returns: the formula for the bytes is of its result."""
    import wengert

    kernel = SUITE["common"].kernels.KERNELS[name]
    arrays = kernel.arrays(size)
    out = kernel.run(wengert, *(wengert.from_numpy(a) for a in arrays))
    assert out.numel() * out.element_size() == 4 * kernel.written(*arrays)
    flops, moved = kernel.work(size)
    assert moved > 0 and flops >= 0


# ---- the dashboards
def results(folder: Path, commits: dict[str, float], date: int = 1_700_000_000_000, samples: int = 1) -> None:
    """Write results as asv does: a machine, benchmarks, and for each commit values times a factor."""
    machine = folder / "here"
    machine.mkdir(parents=True)
    (machine / "machine.json").write_text('{"machine": "here", "version": 1}', encoding="utf-8")
    engines = ["wengert:cpu", "torch:cpu", "wengert:cuda"]
    params = {
        "training.Training.time_step": {"engine": engines, "mode": ["eager", "captured"], "workload": ["mlp", "lenet"]},
        "ops.Op.track_seconds": {"engine": engines, "op": ["add", "matmul", "copy"], "n": [100, 1_000_000]},
        "training.Kept.track_bytes": {"engine": engines, "workload": ["mlp"]},
        "startup.Plugins.timeraw_scan": {},
        "startup.Never.time_run": {},
    }
    known = {
        name: {
            "name": name, "param_names": list(p), "params": [[repr(v) for v in values] for values in p.values()],
            "unit": "bytes" if "bytes" in name else "seconds", "type": "time", "version": "1", "code": "", "number": 0,
        }
        for name, p in params.items()
    }  # fmt: skip
    (folder / "benchmarks.json").write_text(json.dumps({**known, "version": 2}), encoding="utf-8")
    for age, (commit, factor) in enumerate(commits.items()):
        table = {}
        for name, p in params.items():
            keys = list(itertools.product(*p.values()))
            if "Never" in name:
                continue
            values = [factor * 1e-3 * (i + 1) if "wengert:cuda" not in key else float("nan") for i, key in enumerate(keys)]
            table[name] = [values, known[name]["params"], "1", [samples] * len(values)]
        found = {
            "commit_hash": commit, "env_name": "existing", "date": date - 1000 * age, "params": {"machine": "here", "python": "3"},
            "python": "3", "requirements": {}, "env_vars": {}, "result_columns": ["result", "params", "version", "stats_repeat"],
            "results": table, "durations": {}, "version": 2,
        }  # fmt: skip
        (machine / f"{commit[:8]}-existing.json").write_text(json.dumps(found), encoding="utf-8")


def test_the_page_of_devices_and_peers(tmp_path: Path) -> None:
    results(tmp_path / "results", {"b" * 40: 2.0, "a" * 40: 1.0})
    text = dashboard.page.write(tmp_path / "results", tmp_path / "html").read_text(encoding="utf-8")
    assert "b" * 12 in text and "a" * 12 in text
    # mlp: wengert 2 ms x 1, PyTorch 2 ms x 5, so 0.20, and its compiled step 2 ms x 3
    assert '10 ms</td><td style=' in text and '>0.20</td><td style=' in text and '>0.60</td>' in text and "10 ms" in text
    link = "index.html#training.Training.time_step?x-axis=engine&amp;p-mode"
    assert link not in text and "index.html#training.Training.time_step?x-axis=engine&amp;p-workload=%27mlp%27" in text
    assert "wengert CUDA" not in text  # it has no result
    pictures = re.findall(r"<svg .*?</svg>", text, re.S)
    for picture in pictures:
        xml.etree.ElementTree.fromstring(picture)
    by_size, roofs = pictures[:3], pictures[3:]
    assert all(picture.count("<circle") == 4 and picture.count("<polyline") == 2 for picture in by_size)
    assert len(roofs) == 2 and all("GB/s" in picture and picture.count("<circle") == 2 for picture in roofs)
    assert text.count(">2.00</td>") >= 10  # what changed, by a factor of two
    assert not re.search(r"""(src|href)=["']https?:""", text)
    assert "measured once" in text
    results(tmp_path / "calm", {"b" * 40: 1.0}, samples=10)
    assert "measured once" not in dashboard.page.page(tmp_path / "calm")


def test_a_page_without_results_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="`asv run` makes it"):
        dashboard.page.page(tmp_path)
    results(tmp_path / "results", {})
    with pytest.raises(ValueError, match="holds no results"):
        dashboard.page.page(tmp_path / "results")


def test_labels_of_a_roofline_do_not_cover_each_other() -> None:
    works = [dashboard.plots.Work(f"op{i}", 0.125, 1.0 + i / 100, "") for i in range(12)]
    picture = dashboard.plots.roofline("a", "red", works, 10.0, 100.0)
    heights = sorted(float(y) for y in re.findall(r'class="label" x="[\d.]+" y="([\d.]+)"', picture))
    assert len(heights) == 12 and all(b - a >= 10.9 for a, b in itertools.pairwise(heights))


PAGE = """<script src="https://code.jquery.com/jquery-3.3.1.min.js" integrity="sha256-x" crossorigin="anonymous"></script>
<script src="https://a.b/jquery.flot.min.js" referrerpolicy="no-referrer" onerror="f()"></script>
<link rel="stylesheet" href="https://a.b/bootstrap.min.css" integrity="sha256-x">
<script src="asv.js"></script> <a href="https://github.com/x">x</a>"""


def test_scripts_are_taken_from_beside_the_page() -> None:
    names = {"jquery.min.js", "jquery.flot.js", "bootstrap.min.css"}
    text = publish.rewritten(PAGE, names)
    assert text.count("https://") == 1 and text.count('="vendor/') == 3 and "integrity" not in text
    assert 'onerror="f()"' in text and 'src="asv.js"' in text
    with pytest.raises(ValueError, match="asv's page loads https://a.b/bootstrap.min.css, which this script does not know"):
        publish.rewritten(PAGE, names - {"bootstrap.min.css"})


def test_asv_loads_nothing_that_is_not_vendored() -> None:
    asv = pytest.importorskip("asv", reason="asv is not installed (extra `bench`)")
    page = (Path(asv.__file__).parent / "www" / "index.html").read_text(encoding="utf-8")
    names = {Path(name).name for package in publish.PACKAGES for name in package.files}
    text = publish.rewritten(page, names)
    assert not publish.LOADED.search(text) and text.count('="vendor/') == 10


def test_a_wrong_hash_is_refused_and_nothing_is_kept(tmp_path: Path) -> None:
    package = publish.PACKAGES[0]
    with pytest.raises(ValueError, match="--offline forbids to fetch it"):
        publish.stored(package, tmp_path, offline=True)
    (tmp_path / f"{package.name}-{package.version}.tgz").write_bytes(b"not it")
    with pytest.raises(ValueError, match=f"{package.name} {package.version} has the hash sha512-"):
        publish.stored(package, tmp_path, offline=True)
    (tmp_path / "index.html").write_text(PAGE, encoding="utf-8")
    with pytest.raises(ValueError, match="has the hash"):
        publish.vendor(tmp_path, tmp_path, offline=True)
    assert (tmp_path / "index.html").read_text(encoding="utf-8") == PAGE and not (tmp_path / "vendor").exists()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Publish two commits' made-up results with asv itself; return the folder."""
    pytest.importorskip("asv", reason="asv is not installed (extra `bench`)")
    log = subprocess.run(["git", "log", "-2", "--format=%H"], cwd=ROOT, capture_output=True, text=True)
    commits = log.stdout.split()
    if log.returncode or len(commits) < 2:
        pytest.skip("no repository with two commits: asv publishes by them")
    folder = tmp_path_factory.mktemp("site")
    results(folder / "results", dict(zip(commits, (2.0, 1.0), strict=True)))
    settings = json.loads((BENCHMARKS / "asv.conf.json").read_text(encoding="utf-8"))
    changed = {"repo": str(ROOT), "branches": ["HEAD"], "results_dir": "results", "html_dir": "html"}
    (folder / "asv.conf.json").write_text(json.dumps({**settings, **changed}), encoding="utf-8")
    try:
        for package in publish.PACKAGES:
            publish.stored(package, publish.KEPT, offline=False)
    except OSError as error:
        pytest.skip(f"what asv's page loads is not here, and could not be fetched: {error}")
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "publish.py"), "--config", str(folder / "asv.conf.json"), "--offline"],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Return a headless Chromium."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra `bench`)")
    with api.sync_playwright() as driver:
        path = next((p for p in map(shutil.which, ("chromium", "google-chrome", "chromium-browser")) if p), None)
        try:
            opened = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except api.Error as error:
            pytest.skip(f"no browser: {str(error).splitlines()[0]}")
        yield opened
        opened.close()


DRAWN = """() => [...document.querySelectorAll('canvas')].map(c => {
  const pixels = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
  return pixels.filter((value, i) => i % 4 == 3 && value > 0).length; })"""


@pytest.mark.parametrize(
    ("address", "canvases"),
    [
        ("index.html", 4),
        ("index.html#training.Training.time_step?x-axis=engine&p-workload='mlp'&p-mode='eager'", 1),
        ("index.html#ops.Op.track_seconds?x-axis=n&p-op='add'", 1),
        ("index.html#training.Training.time_step", 1),
        ("devices.html", 0),
    ],
)
def test_the_dashboards_draw_in_a_browser(site: Path, browser: Any, address: str, canvases: int) -> None:
    """Without a network: whatever is not beside the page is refused."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page, said = browser.new_page(viewport={"width": 1250, "height": 900}), []
    base = f"http://127.0.0.1:{server.server_port}/"
    page.route(lambda url: not url.startswith(base), lambda route: route.abort())
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    try:
        page.goto(base + address)
        page.wait_for_load_state("networkidle")
        if canvases:
            page.wait_for_selector("canvas.flot-base", state="attached")
            page.wait_for_timeout(300)
            drawn = page.evaluate(DRAWN)
            assert sum(pixels > 100 for pixels in drawn) >= canvases, drawn
        else:
            sizes = page.evaluate("[...document.querySelectorAll('svg')].map(s => s.getBBox().width * s.getBBox().height)")
            assert len(sizes) == 5 and min(sizes) > 10_000
        shot = page.screenshot()
        assert page.title().startswith(("airspeed velocity", "wengert")) and len(shot) > 10_000
        assert said == []
    finally:
        page.close()
        server.shutdown()
        server.server_close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder and says nothing."""

    def log_message(self, format: str, *arguments: Any) -> None:
        pass
