"""Packages as strangers write them, built and installed for real in a fresh environment, away from the checkout.

Owns the proof that packages of published shape work: the samples under tests/plugins/ (devices, an op, an optimizer, and a
set of broken ones), and what `wengert new-plugin` writes. The slow part is marked `packages`. May import: the standard
library, wengert's templates. Must not know: what the packages do; their own tests say whether it is right.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import sysconfig
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "tests" / "plugins"
GOOD = sorted(path.parent for path in SAMPLES.glob("wengert-*/pyproject.toml"))
BAD = sorted(path.parent for path in SAMPLES.glob("bad/*/pyproject.toml"))
KINDS = ("device", "op", "optimizer")

Run = Callable[..., subprocess.CompletedProcess[str]]


# ---- how much there is to write
def code_lines(*paths: Path) -> int:
    """Return how many lines of Python there are, without docstrings, comments and empty lines."""
    count = 0
    for path in paths:
        text = path.read_text()
        told = set()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
                told |= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
        lines = enumerate(text.splitlines(), 1)
        count += sum(bool(line.strip()) and not line.strip().startswith("#") and n not in told for n, line in lines)
    return count


@pytest.mark.parametrize(
    ("what", "files", "most"),
    [
        ("a device of a namespace of the array API", ["wengert-standard/wengert_standard/strict.py"], 60),
        ("a device of PyTorch's tensors", ["wengert-standard/wengert_standard/pytorch.py"], 60),
        ("both devices and their registration", ["wengert-standard/wengert_standard"], 60),
        ("an op with a gradient and kernels on all devices", ["wengert-bell/wengert_bell.py"], 5),
        ("an optimizer", ["wengert-lion/wengert_lion"], 15),
    ],
)  # fmt: skip
def test_lines_that_a_plugin_takes(what: str, files: list[str], most: int) -> None:
    paths = [path for name in files for path in ([SAMPLES / name] if name.endswith(".py") else (SAMPLES / name).glob("*.py"))]
    assert 0 < code_lines(*paths) <= most, f"{what} takes {code_lines(*paths)} lines"


# ---- a fresh environment
class Fresh:
    """An environment with the wheel of wengert and of plugins, whose other packages are those of this one."""

    def __init__(self, folder: Path, *packages: Path) -> None:
        self.folder, self.environment = folder, folder / "environment"
        self.wheels = folder / "wheels"
        self.call(sys.executable, "-m", "venv", "--without-pip", str(self.environment))
        self.python = str(self.environment / ("Scripts" if os.name == "nt" else "bin") / "python")
        site = Path(self.call(self.python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])").stdout.strip())
        (site / "below.pth").write_text(sysconfig.get_paths()["purelib"])
        self.install(ROOT, *packages)

    def call(self, *command: str, fails: bool = False, **environment: str) -> subprocess.CompletedProcess[str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("WENGERT_", "PYTHON", "PYTEST"))}
        clean |= {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "OMP_NUM_THREADS": "1", **environment}
        done = subprocess.run(command, cwd=self.folder, env=clean, capture_output=True, text=True, timeout=300)
        assert (done.returncode != 0) == fails, f"{' '.join(command)}\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
        return done

    def install(self, *packages: Path) -> None:
        """Build wheels and install them, as pip does for anyone, with nothing downloaded."""
        options = ("--no-deps", "--no-build-isolation", "--quiet")
        self.call(sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", str(self.wheels), *map(str, packages))
        names = [re.sub(r"[-.]+", "_", project_name(path)) for path in packages]
        wheels = [str(next(self.wheels.glob(f"{name}-*.whl"))) for name in names]
        self.call(sys.executable, "-m", "pip", "--python", self.python, "install", "--no-deps", "--quiet", *wheels)

    def run(self, text: str, fails: bool = False, **environment: str) -> str:
        done = self.call(self.python, "-W", "default", "-c", textwrap.dedent(text), fails=fails, **environment)
        return done.stdout + done.stderr

    def test(self, package: Path, *options: str) -> str:
        """Run a package's own tests against what is installed; return the last lines."""
        command = (self.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, str(package / "tests"))
        return self.call(*command, "--rootdir", str(package)).stdout


def project_name(package: Path) -> str:
    found = re.search(r'^name = "(.+)"$', (package / "pyproject.toml").read_text(), re.M)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Fresh:
    """An environment with wengert and all samples, good and bad: the good ones must work beside the bad ones."""
    pytest.importorskip("hatchling", reason="the extra `packages` is not installed")
    return Fresh(tmp_path_factory.mktemp("fresh"), *GOOD, *BAD)


def quiet(environment: Fresh) -> dict[str, str]:
    return {"WENGERT_DISABLE_PLUGINS": ",".join(project_name(path).removeprefix("wengert-").replace("-", "_") for path in BAD)}


@pytest.mark.packages
@pytest.mark.parametrize("package", GOOD, ids=lambda path: path.name)
def test_a_sample_passes_its_own_tests_beside_the_broken_ones(package: Path, fresh: Fresh) -> None:
    pytest.importorskip("array_api_strict", reason="the extra `packages` is not installed")
    parallel = ("-n", "2") if package.name == "wengert-standard" and _has_xdist() else ()
    shown = fresh.test(package, *parallel)
    print(shown.splitlines()[-1])
    assert re.search(r"\d+ passed", shown)


def _has_xdist() -> bool:
    import importlib.util

    return importlib.util.find_spec("xdist") is not None


@pytest.mark.packages
def test_broken_plugins_break_nothing_else(fresh: Fresh) -> None:
    out = fresh.run("""
        import warnings
        import wengert
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            x = wengert.ones(2, requires_grad=True)
            wengert.bell(x).sum().backward()
            wengert.bell
            assert wengert.optim.Lion([x]) and wengert.optim.SGD([x], lr=0.1) and wengert.bad_slow and wengert.bad_early
            assert wengert.ones(2, device="strict").exp().tolist()[0] > 2.7 and x.exp().tolist()[0] > 2.7
            wengert.plugins.load_all()
        for w in caught:
            print("WARNING", w.category.__name__, w.message)
        for name, ask in {
            "half": lambda: wengert.bad_half, "device": lambda: wengert.device("bad_half"),
            "method": lambda: x.bad_half, "optimizer": lambda: wengert.optim.BadClash, "exit": lambda: wengert.bad_exit,
            "import": lambda: wengert.bad_import, "dependency": lambda: wengert.bad_dependency, "argument": lambda: wengert.bad_argument,
        }.items():
            try:
                ask()
            except (AttributeError, RuntimeError) as error:
                print("ASKED", name, error)
        print("STATUS", {p.name: p.status for p in wengert.plugins.loaded.values() if p.name.startswith("bad")})
    """)  # fmt: skip
    warned = [line for line in out.splitlines() if line.startswith("WARNING")]
    assert len(warned) == 6 and all("wengert-bad-" in line and "0.1" in line and "WENGERT_DISABLE_PLUGINS=bad_" in line for line in warned)
    for name, words in {
        "bad_argument": "registration failed: .*session", "bad_clash": "optimizer 'SGD' is registered twice: by 'optim' and by 'bad_clash'",
        "bad_dependency": "No module named 'a_library_that_nobody_has'", "bad_exit": "SystemExit: 3", "bad_half": "half way",
        "bad_import": "this module is broken",
    }.items():  # fmt: skip
        assert any(f"'{name}'" in line and re.search(words, line) for line in warned), (name, warned)
    assert len(re.findall(r"^ASKED .*(left out|bad_)", out, re.M)) == 8, out
    assert "'bad_slow': 'active'" in out and "'bad_early': 'active'" in out and out.count("'failed'") == 6


@pytest.mark.packages
def test_the_command_lists_broken_plugins(fresh: Fresh) -> None:
    done = fresh.call(fresh.python, "-m", "wengert", "plugins", "--json")
    listed = {plugin["name"]: plugin for plugin in json.loads(done.stdout)}
    assert done.stderr == ""
    assert listed["bad_half"]["status"] == "failed" and listed["bad_half"]["distribution"] == "wengert-bad-half"
    assert listed["lion"]["status"] == "active" and listed["lion"]["names"] == ["Lion"]
    assert listed["bad_slow"]["seconds"] >= 1 > listed["lion"]["seconds"]
    shown = fresh.call(fresh.python, "-m", "wengert", "plugins").stdout
    assert re.search(r"^  bad_slow .*active +took 1\.\d s to load", shown, re.M)
    devices = fresh.call(fresh.python, "-m", "wengert", "devices").stdout
    assert re.search(r"^  strict:0 +ready", devices, re.M) and "bad_half" not in devices


@pytest.mark.packages
@pytest.mark.parametrize("switch", ["WENGERT_DISABLE_PLUGINS", "WENGERT_LOAD_PLUGINS", "WENGERT_STRICT_PLUGINS"])
def test_the_environment_decides(switch: str, fresh: Fresh) -> None:
    if switch == "WENGERT_STRICT_PLUGINS":
        assert "RuntimeError: plugin 'bad_" in fresh.run("import wengert; wengert.bell", fails=True, WENGERT_STRICT_PLUGINS="1")
        return
    value = quiet(fresh)["WENGERT_DISABLE_PLUGINS"] if switch == "WENGERT_DISABLE_PLUGINS" else "bell,lion,standard"
    out = fresh.run("import wengert; wengert.bell, wengert.optim.Lion; print(wengert.device('strict'))", **{switch: value})
    assert out.strip() == "strict"


# ---- what `wengert new-plugin` writes
@pytest.mark.packages
def test_new_plugins_pass_their_own_tests_as_they_are_written(tmp_path: Path, fresh: Fresh) -> None:
    from wengert.scaffold import write

    packages = [write(f"fresh-{kind}", kind, tmp_path) for kind in KINDS]
    fresh.install(*packages)
    for package in packages:
        print(package.name, fresh.test(package).splitlines()[-1])
        assert "wengert.testing" in "".join(path.read_text() for path in (package / "tests").glob("*.py"))
    out = fresh.call(fresh.python, "-m", "wengert", "plugins").stdout
    assert len(re.findall(r"^  fresh_\w+ +wengert-fresh-\w+ +0\.1\.0 +active", out, re.M)) == 3
