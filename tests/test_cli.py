"""The command `wengert`, run as a user runs it: its listings, the demonstration, what it says when it cannot.

Owns the proof of wengert/__main__.py and wengert/demo.py. May import: wengert's demo, and `notebook`, to compare
with what the saved notebooks printed. Must not know: which devices and plugins there are beside the built-in ones.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
import xml.etree.ElementTree
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import notebook
import wengert
from wengert import demo

SEEDS = Path(__file__).parent / "seeds"
MATPLOTLIB, TQDM = (
    pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"{name} is not installed (extra `demo`)")
    for name in ("matplotlib", "tqdm")
)
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Return a function that runs `python -m wengert ...` in an empty folder, its streams piped."""

    def run(*arguments: str, before: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the command, after the statements of `before`."""
        code = f"import sys\n{before}\nfrom wengert.__main__ import main\nsys.exit(main({list(arguments)!r}))"
        how = ["-c", code] if before else ["-m", "wengert", *arguments]
        return subprocess.run(
            [sys.executable, *how], cwd=tmp_path, env={**os.environ, **environment},
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip

    return run


WITHOUT_MATPLOTLIB = "sys.modules['matplotlib'] = None"
WITHOUT_EXTRA = "sys.modules['matplotlib'] = sys.modules['tqdm'] = None"


def saved(document: str, start: str) -> list[str]:
    """Return the lines that a saved notebook printed, those that are whole."""
    text = next(SEEDS.glob(f"{document}_*.txt")).read_text(encoding="utf-8")
    found = re.findall(rf"^{start}\d+[:,].*\d\n(?={start}\d)", text, re.M)
    return [line.rstrip("\n") for line in found]


# ---- listings
@pytest.mark.parametrize("arguments", [(), ("doctor",)])
def test_doctor_shows_version_devices_and_plugins(command: Command, arguments: tuple[str, ...]) -> None:
    done = command(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"wengert {wengert.__version__}, Python ")
    assert re.search(r"^  cpu +ready +NumPy .*\(default\)$", done.stdout, re.M)
    assert re.search(rf"^  numpy +wengert +{wengert.__version__} +active$", done.stdout, re.M)


def test_version(command: Command) -> None:
    done = command("--version")
    assert (done.returncode, done.stdout) == (0, f"wengert {wengert.__version__}\n")


def test_devices(command: Command) -> None:
    done = command("devices")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("devices (") and "plugins" not in done.stdout


def test_plugins(command: Command) -> None:
    done = command("plugins")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^  optim +wengert .*active$", done.stdout, re.M)


def test_plugins_for_programs(command: Command) -> None:
    done = command("plugins", "--json")
    listed = {plugin["name"]: plugin for plugin in json.loads(done.stdout)}
    assert (done.returncode, done.stderr) == (0, "")
    optim = listed["optim"]
    assert optim["status"] == "active" and optim["version"] == wengert.__version__ and "SGD" in optim["names"] and 0 < optim["seconds"] < 5
    assert set(optim) == {"name", "module", "distribution", "version", "status", "reason", "stage", "names", "seconds"}


def test_ops_and_who_brings_them(command: Command) -> None:
    done = command("ops")
    assert (done.returncode, done.stderr) == (0, "")
    for line in (r"tanh +\(core\)", r"kron +ops", r"linalg\.svd +linalg", r"nn\.functional\.gelu +nn"):
        assert re.search(rf"^  {line}$", done.stdout, re.M), line


def test_ops_that_a_device_lacks(command: Command) -> None:
    assert re.match(r"ops without a kernel on cpu, of \d+ \(0\)\n", command("ops", "--missing", "cpu").stdout)
    before = """
from wengert.registry import registry
from wengert_numpy.device import NumpyBackend
class Less(NumpyBackend):
    name = "less"
    def kernel(self, op): return None if op.name in ("argsort", "tanh", "relu") else super().kernel(op)
registry.device("less", Less)
"""
    shown = command("ops", "--missing", "less", before=before).stdout
    assert re.search(r"^  argsort +argsort$", shown, re.M) and re.search(r"^  tanh ", shown, re.M)
    assert not re.search(r"^  relu ", shown, re.M), "it is evaluated from its text"
    done = command("ops", "--missing", "nowhere")
    assert done.returncode == 2 and done.stderr.startswith("wengert ops: unknown device 'nowhere'") and "Traceback" not in done.stderr


@pytest.mark.parametrize("kind", ["op", "device", "optimizer"])
def test_new_plugin_writes_a_package_once(command: Command, tmp_path: Path, kind: str) -> None:
    done = command("new-plugin", "my-thing", "--kind", kind, "--into", "packages")
    assert done.returncode == 0 and "packages/wengert-my-thing" in done.stdout, done.stderr
    folder = tmp_path / "packages" / "wengert-my-thing"
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["wengert.plugins"] == {"my_thing": "wengert_my_thing"} and project["name"] == "wengert-my-thing"
    assert (folder / "wengert_my_thing" / "__init__.py").exists() and (folder / "tests" / "test_my_thing.py").exists()
    assert "$" not in "".join(path.read_text() for path in folder.rglob("*.*") if path.is_file())
    again = command("new-plugin", "my-thing", "--kind", kind, "--into", "packages")
    assert again.returncode == 2 and again.stderr.startswith("wengert new-plugin: ") and "Traceback" not in again.stderr


@pytest.mark.parametrize(
    ("name", "kind", "owner"),
    [("sin", "op", "built in"), ("linalg", "op", "the name of a plugin of wengert"), ("cpu", "device", "by the plugin 'numpy'"),
     ("adam", "optimizer", "'Adam' is registered by the plugin 'optim'"), ("class", "op", "a word of Python's")],
)  # fmt: skip
def test_new_plugin_refuses_names_that_are_taken(command: Command, tmp_path: Path, name: str, kind: str, owner: str) -> None:
    done = command("new-plugin", name, "--kind", kind)
    assert done.returncode == 2 and owner in done.stderr and f"such as 'my-{name}'" in done.stderr, done.stderr
    assert not (tmp_path / f"wengert-{name}").exists()


@pytest.mark.parametrize("name", ["My-Thing", "1st", "a--b", "a_b", "a b", "-a"])
def test_new_plugin_refuses_names_that_make_no_package(command: Command, name: str) -> None:
    done = command("new-plugin", name)
    assert done.returncode == 2 and "Traceback" not in done.stderr and done.stdout == ""


def test_a_device_that_fails_says_why(command: Command) -> None:
    before = """
from wengert.registry import registry
class Broken:
    name, array_type = "broken", dict
    def devices(self): raise OSError("the driver\\nis too old")
class Empty(Broken):
    name, array_type = "empty", list
    def devices(self): return []
class Wrong(Broken):
    name, array_type = "wrong", set
    def devices(self): return ["gpu"]
registry.device("wrong", Wrong)
registry.device("broken", Broken)
registry.device("empty", Empty)
registry.device("absent", "no_such_library.device:Backend")
"""
    done = command("devices", before=before)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^  broken +unavailable +OSError: the driver is too old$", done.stdout, re.M)
    assert re.search(r"^  empty +unavailable +its backend lists no device$", done.stdout, re.M)
    assert re.search(r"^  wrong +unavailable +AttributeError: ", done.stdout, re.M)
    assert re.search(r"^  absent +unavailable +ModuleNotFoundError: .*no_such_library", done.stdout, re.M)
    assert re.search(r"^  cpu +ready", done.stdout, re.M)


@pytest.mark.parametrize("strict", ["0", "1"])
def test_a_plugin_that_fails_says_why(command: Command, tmp_path: Path, strict: str) -> None:
    """It is listed with its distribution, version and reason, without a warning, and the others after it."""
    for name, code in (("good", ""), ("bad", "raise OSError('no\\nlibrary')"), ("new", "__wengert_api__ = 99")):
        (tmp_path / f"wengert_{name}.py").write_text(code)
        info = tmp_path / f"wengert_{name}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: wengert-{name}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[wengert.plugins]\n{name} = wengert_{name}\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = command("plugins", PYTHONPATH=path, WENGERT_STRICT_PLUGINS=strict, WENGERT_DISABLE_PLUGINS="good")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^  bad +wengert-bad +1\.2 +failed +import: OSError: no library$", done.stdout, re.M)
    assert re.search(r"^  new +wengert-new +1\.2 +incompatible +version check: .*99", done.stdout, re.M)
    assert re.search(r"^  good +wengert-good +1\.2 +disabled +by environment variable$", done.stdout, re.M)


def test_an_unknown_default_device_is_reported(command: Command) -> None:
    done = command("doctor", WENGERT_DEVICE="nowhere")
    assert done.returncode == 0
    assert "no default device: unknown device 'nowhere'" in done.stdout


def test_the_entry_point_is_the_command() -> None:
    try:
        scripts = importlib.metadata.distribution("wengert").entry_points.select(group="console_scripts")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("wengert runs from a checkout, without metadata")
    assert [(entry.name, entry.value) for entry in scripts] == [("wengert", "wengert.__main__:main")]


def test_a_reader_that_stops_early_is_no_error() -> None:
    code = "import sys; from wengert.__main__ import main; sys.exit(main(['plugins']))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


# ---- the demonstration
def test_demo_prints_what_the_notebooks_print(command: Command) -> None:
    done = command("demo", before=WITHOUT_EXTRA)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert "Iteration: 0, x1: 0.007293, x2: 0.004651, loss: 0.385335" in lines
    for document, start, count in (("000", "Iteration: ", 50), ("003", "Epoch ", 50)):
        ours = [line for line in lines if line.startswith(start)]
        theirs = [line for line in saved(document, start) if document != "000" or "x2:" in line]
        assert len(ours) == count
        assert len(theirs) >= 11
        assert notebook.compare("\n".join(theirs), "\n".join(ours[: len(theirs)])) == []


def test_demo_reaches_what_numpy_reaches_by_hand(command: Command) -> None:
    """The last loss of the line: the same descent in float64, with the gradient worked out on paper."""
    x, y, a, b = np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.5, 2.0]), 1.0, 1.0
    loss = 0.0
    for _ in range(50):
        error = a * x + b - y
        loss = np.mean(error**2)
        a, b = a - 0.05 * np.mean(2 * error * x), b - 0.05 * np.mean(2 * error)
    way = demo.fit_line(say=lambda line: None)
    assert way.losses[-1] == pytest.approx(loss, rel=1e-4)
    assert f"Epoch 49: loss={way.losses[-1]}, " in command("demo", before=WITHOUT_EXTRA).stdout


def test_demo_solves_the_system() -> None:
    way = demo.solve_system(say=lambda line: None)
    x1, x2 = way.values[-1]
    assert np.exp(-np.exp(-(x1 + x2))) == pytest.approx(x2 * (1 + x1**2), abs=1e-5)
    assert x1 * np.cos(x2) + x2 * np.sin(x1) == pytest.approx(0.5, abs=1e-5)


def test_demo_without_the_extra_says_what_is_missing(command: Command, tmp_path: Path) -> None:
    done = command("demo", before=WITHOUT_EXTRA)
    assert done.returncode == 0
    assert "No picture: matplotlib is not installed (pip install matplotlib" in done.stdout
    assert "No progress bar: tqdm is not installed (pip install tqdm" in done.stdout
    assert list(tmp_path.iterdir()) == []


@MATPLOTLIB
def test_demo_draws_svg_by_default_and_says_where(command: Command, tmp_path: Path) -> None:
    done = command("demo")
    assert done.returncode == 0
    picture = tmp_path / "wengert-demo.svg"
    assert done.stdout.splitlines()[-1].endswith(f": {picture}")
    assert xml.etree.ElementTree.parse(picture).getroot().tag == "{http://www.w3.org/2000/svg}svg"
    again = command("demo", "--out", "again.svg")
    assert again.returncode == 0
    assert (tmp_path / "again.svg").read_bytes() == picture.read_bytes()


@MATPLOTLIB
def test_demo_draws_png_by_the_ending(command: Command, tmp_path: Path) -> None:
    done = command("demo", "--out", "way.PNG", "--device", "cpu")
    assert done.returncode == 0
    assert (tmp_path / "way.PNG").read_bytes().startswith(b"\x89PNG")


def test_a_pipe_gets_plain_lines(command: Command) -> None:
    done = command("demo", before=WITHOUT_MATPLOTLIB)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\r" not in done.stdout and "\x1b" not in done.stdout


@TQDM
@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_a_terminal_gets_a_progress_bar(tmp_path: Path) -> None:
    import pty
    import termios

    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    code = f"import sys; {WITHOUT_MATPLOTLIB}; from wengert.__main__ import main; sys.exit(main(['demo']))"
    with (tmp_path / "lines").open("w+") as lines:
        with subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=lines, stderr=theirs) as process:
            os.close(theirs)
            shown = b"".join(iter(lambda: read(ours), b""))
        os.close(ours)
        lines.seek(0)
        printed = lines.read()
    assert process.returncode == 0
    assert b"\r" in shown and b"two equations:" in shown and b"a line:" in shown
    assert "\r" not in printed and "Iteration: 980, " in printed and "Epoch 49: " in printed


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux's word for the end of a pseudo-terminal
        return b""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--out", "way.gif"), "cannot draw to 'way.gif': the file name must end in .svg or .png"),
        (("--out", "nowhere/way.svg"), "there is no folder 'nowhere'"),
        (("--device", "nowhere"), "unknown device 'nowhere'"),
        (("--device", "no where"), "Invalid device string"),
    ],
)
def test_a_bad_argument_is_told_at_once(command: Command, arguments: tuple[str, ...], words: str) -> None:
    done = command("demo", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("wengert demo: ") and words in done.stderr
    assert "Traceback" not in done.stderr


@MATPLOTLIB
def test_a_picture_that_cannot_be_written_is_told(command: Command, tmp_path: Path) -> None:
    (tmp_path / "taken.svg").mkdir()
    done = command("demo", "--out", "taken.svg")
    assert done.returncode == 1
    assert "Epoch 49" in done.stdout
    assert done.stderr.splitlines()[-1].startswith("wengert demo: the picture cannot be written: ")
