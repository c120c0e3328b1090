"""The conformance kit: what is right passes, and each way of being wrong is found and told.

Owns the proof of wengert.testing's checks of ops, optimizers and devices. Devices here are NumPy's under another name, with
something broken. May import: wengert.testing, NumPy's device. Must not know: what an op computes.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wengert as torch
from wengert import backend, plugins
from wengert.backend import DeviceInfo
from wengert.extend import elementwise
from wengert.op import OPS
from wengert.registry import Registry
from wengert.testing import check_backend, check_op, check_optimizer, isolated_registry
from wengert.testing.cases import P, R, every
from wengert.testing.device import DeviceSuite, ready, unavailable
from wengert.testing.seeds import KNOWN, PROGRAMS
from wengert_numpy.device import NumpyBackend

CHEAP = ("integers", "seeds", "optimizers", "device")


@pytest.fixture(autouse=True)
def registry() -> Iterator[Registry]:
    with isolated_registry() as found:
        yield found


# ---- ops
def bell(rule: Callable[..., Any] | None = None, **options: Any) -> Any:
    rules = {"x": rule or (lambda g, x, out: -2 * g * x * out)}
    return elementwise("bell", "exp(-x * x)", **{**rules, **options})


def gauss(x: Any) -> Any:
    return np.exp(-x * x)


def test_a_right_op_passes_on_every_device() -> None:
    check_op(bell(), oracle=gauss, devices="all")


def test_functions_and_samples() -> None:
    check_op(lambda x, n: (x**n).sum(-1), (R(2, 3), 3), (np.array([[1.0, 2.0]]), 2), oracle=lambda x, n: (x**n).sum(-1))
    check_op(torch.hypot, (P(3), P(2, 3)))  # NumPy's of that name
    check_op(torch.erf, devices=["cpu"])  # SciPy's, and the shapes of an elementwise record
    check_op(lambda x: x.round(), R(4), oracle=np.round, order=0, exact=True)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: bell(lambda g, x, out: 2 * g * x * out), "gradient of order 1 of the inputs .* differences give"),
        (lambda: bell(lambda g, x, out: -2 * g * x.detach() * out if hasattr(x, "detach") else -2 * g * x * out), "order 2"),
        (lambda: elementwise("bell", "exp(-x)", x=lambda g, out: -g * out), "Not equal to tolerance"),
        (lambda: bell(lambda g, x: g * (x[..., :0].sum() if x.ndim else x)), "order 1|shape"),
        (lambda: (lambda x: x.detach().neg().mul(x.detach()).exp()), "nothing was recorded|no sample"),
        (lambda: (lambda x: torch.exp(-x * x)[..., None]), "shape"),
        (lambda: (lambda x: torch.exp(-x * x) + 1e-9), "Not equal to tolerance"),
        (lambda: (lambda x: torch.exp(-x.mul_(1.0000001) * x)), "Not equal|changed|in-place"),
    ],
    ids=["wrong rule", "not differentiable twice", "wrong text", "wrong shape of a gradient", "no gradient", "wrong shape",
         "not exact", "changes its input"],
)  # fmt: skip
def test_a_wrong_op_is_found(make: Callable[[], Any], words: str) -> None:
    op = make()
    samples = () if hasattr(op, "rules") else (R(3, 4), R(2))
    with pytest.raises((AssertionError, RuntimeError), match=words):
        check_op(op, *samples, oracle=gauss)


def test_what_is_missing_from_a_call_is_told() -> None:
    with pytest.raises(TypeError, match="say what it gives: oracle=function"):
        check_op(lambda x: x, R(3))
    with pytest.raises(TypeError, match="give some"):
        check_op(lambda x: x, oracle=gauss)
    with pytest.raises(TypeError, match="no sample has an array"):
        check_op(torch.full, ((2,), 1.0), oracle=np.full)


# ---- a text is a kernel
@pytest.mark.parametrize(
    ("text", "oracle"),
    [
        ("x > 0 ? x : 0.5 * x", lambda x: np.where(x > 0, x, 0.5 * x)),
        ("x < -1 || x > 1 ? x : x * x * x", lambda x: np.where(abs(x) > 1, x, x**3)),
        ("(x > 0) - (x < 0) + 2.0f * x", lambda x: np.sign(x) + 2 * x),
        ("!(x > 0) && x > -1.0 ? fabs(x) : pow(x, 2)", lambda x: np.where((x <= 0) & (x > -1), abs(x), x**2)),
        ("x > 1 ? fmin(x, 1.5f) : x > 0 ? sqrt(x) : tanh(x) / (1 + exp(-x))",
         lambda x: np.where(x > 1, np.minimum(x, 1.5), np.where(x > 0, np.sqrt(abs(x)), np.tanh(x) / (1 + np.exp(-x))))),
        ("3.0f", lambda x: np.full(np.shape(x), 3.0)),
    ],
)  # fmt: skip
def test_the_text_of_an_op_runs_on_every_device(text: str, oracle: Callable[..., Any]) -> None:
    check_op(elementwise("written", text, x=lambda g: g), oracle=oracle, order=0, devices="all")


@pytest.mark.parametrize("text", ["x ? : 2", "nonsense(x)", "x + q", "x; return 1", "written(x)"])
def test_a_text_that_cannot_be_read_is_no_kernel(text: str) -> None:
    op = elementwise("written", text)
    with pytest.raises(NotImplementedError, match="op 'written' .* has no kernel on device 'cpu'"):
        op(torch.ones(2))


def test_a_text_that_divides_refuses_integers() -> None:
    half = elementwise("half_of", "x / 2", domain="same")
    assert half(torch.tensor([3.0])).item() == 1.5
    with pytest.raises(NotImplementedError, match="for floats alone"):
        half(torch.tensor([3]))
    assert elementwise("chosen", "x > 2 ? x : 0", domain="same")(torch.tensor([3, 1])).tolist() == [3, 0]


# ---- optimizers
class Right(torch.optim.Optimizer):
    defaults = {"lr": 0.05, "momentum": 0.5}

    def init_state(self, p: Any, group: Any) -> Any:
        return {"m": torch.zeros_like(p)}

    def update(self, p: Any, g: Any, state: Any, group: Any) -> None:
        p.sub_(state["m"].mul_(group["momentum"]).add_(g), alpha=group["lr"])


class Climbs(Right):
    def update(self, p: Any, g: Any, state: Any, group: Any) -> None:
        p.add_(g, alpha=group["lr"])


class SameRateForAll(Right):
    def update(self, p: Any, g: Any, state: Any, group: Any) -> None:
        p.sub_(g, alpha=0.05)


class KeepsItself(Right):
    def __init__(self, params: Any, **options: Any) -> None:
        super().__init__(params, **options)
        self.own: dict[int, Any] = {}

    def update(self, p: Any, g: Any, state: Any, group: Any) -> None:
        key = p.numel() + p.ndim
        self.own[key] = self.own.get(key, 0) * 0.5 + g.clone()
        p.sub_(self.own[key], alpha=group["lr"])


class ReturnsNothing(Right):
    def step(self, closure: Any = None) -> Any:
        super().step(closure)


def test_a_right_optimizer_passes() -> None:
    check_optimizer(Right, devices="all")


RATES = {"Adadelta": {"lr": 1.0}, "Adafactor": {"lr": 0.1}, "LBFGS": {"lr": 1.0}, "Rprop": {"lr": 0.01}}
BUILT_IN = [n for n in torch.registry.registry.names("optimizers") if torch.registry.registry.tables["optimizers"][n].plugin == "optim" and "." not in n]


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_built_in_optimizer_passes(name: str) -> None:
    if name == "SparseAdam":
        pytest.skip("it takes sparse gradients alone, and no rate of 0: tests/test_sparse.py compares its steps")
    check_optimizer(name, compiled=name != "LBFGS", **RATES.get(name, {"lr": 0.05}))


@pytest.mark.parametrize(
    ("broken", "words"),
    [(Climbs, "the loss is"), (SameRateForAll, "lr=0 was changed"), (KeepsItself, "does not go on"), (ReturnsNothing, "closure")],
)
def test_a_wrong_optimizer_is_found(broken: Any, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_optimizer(broken, compiled=False)


# ---- devices
class MirrorArray(np.ndarray):
    pass


class Mirror(NumpyBackend):
    """NumPy's device under another name."""

    name = "mirror"
    array_type = MirrorArray

    def devices(self) -> list[DeviceInfo]:
        return [DeviceInfo("mirror:0", True, "made for a test")]

    def from_host(self, array: Any, index: int) -> Any:
        if index:
            raise RuntimeError(f"no device mirror:{index}")
        return np.array(array).view(MirrorArray)

    def to_host(self, array: Any) -> Any:
        return np.asarray(array)

    def index_of(self, array: Any) -> int:
        return 0

    def finish(self, op: Any, kernel: Any) -> Any:
        run = super().finish(op, kernel)

        def call(*args: Any, **options: Any) -> Any:
            made = run(*args, **options)
            return made if options.get("out", ...) is not ... else own(made)

        return call


def own(made: Any) -> Any:
    return tuple(own(m) for m in made) if isinstance(made, tuple) else np.asarray(made).view(MirrorArray)


def use(registry: Registry, device: type) -> None:
    registry.device("mirror", device)


def test_the_host_passes() -> None:
    report = check_backend("cpu", groups=CHEAP)
    assert report.passed > 400 and report.gaps == {} and "checks passed" in str(report)


def refuse(x: Any, *args: Any) -> Any:
    raise NotImplementedError("op 'argsort' (argsort) has no kernel on device 'mirror'")


def test_a_gap_is_strict(registry: Registry) -> None:
    use(registry, Mirror)
    registry.kernel("argsort", "mirror", refuse)
    registry.kernel("roll", "mirror", lambda x, shifts, axes: x.copy())
    wrong = {"wengert.roll": "another function"}
    gaps = {"argsort": "not written"}
    with pytest.raises(AssertionError, match="wengert.argsort: NotImplementedError"):
        check_backend("mirror", groups=["functions"])
    with pytest.raises(AssertionError, match="wengert.roll: AssertionError") as error:  # a wrong value is no gap
        check_backend("mirror", gaps={**gaps, **wrong}, groups=["functions"])
    assert "argsort" not in str(error.value)  # met by what uses it, and by itself
    registry.kernel("roll", "mirror", lambda x, shifts, axes: own(np.roll(x, shifts, axes)), override=True)
    assert check_backend("mirror", gaps=gaps, groups=["functions"]).gaps["wengert.argsort"] == "not written"
    with pytest.raises(AssertionError, match=r"wengert.roll passes now: take it out of the gaps \('another function'\)"):
        check_backend("mirror", gaps={**gaps, **wrong}, groups=["functions"])
    with pytest.raises(AssertionError, match="gaps: 'no_such_op' names no check"):
        check_backend("mirror", gaps={**gaps, "no_such_op": "no"}, groups=["seeds"])


def broken(**methods: Any) -> type:
    return type("Broken", (Mirror,), methods)


@pytest.mark.parametrize(
    ("device", "group", "words"),
    [
        (broken(from_host=lambda self, array, index: np.asarray(array).view(MirrorArray)), "device", "from_host must copy|mirror:99 was accepted"),
        (broken(copy=lambda self, array: array), "device", "device-protocol"),
        (broken(write=lambda self, target, values: target), "device", "device-protocol"),
        (broken(add_into=lambda self, target, values: None), "device", "device-protocol"),
        (broken(devices=lambda self: [DeviceInfo("other:0", True, "?"), DeviceInfo("mirror:0", True, "?")]), "device", "names of mirror"),
        (broken(index_of=lambda self, array: 3), "device", "device-"),
        (broken(from_host=lambda self, array, index: (np.array(array) + np.asarray(1e-7, array.dtype) if array.dtype.kind == "f" else np.array(array)).view(MirrorArray)), "device", "device-carried"),
    ],
    ids=["shares", "no copy", "no write", "no add", "names", "index", "rounds"],
)  # fmt: skip
def test_a_broken_device_is_found(device: type, group: str, words: str, registry: Registry) -> None:
    use(registry, device)
    with pytest.raises(AssertionError, match=words):
        check_backend("mirror", groups=[group])


def test_a_wrong_kernel_is_found(registry: Registry) -> None:
    use(registry, Mirror)
    registry.kernel("exp", "mirror", lambda x, out=...: np.expm1(x, out=out))
    registry.kernel("flip", "mirror", lambda x, axes: x)
    with pytest.raises(AssertionError) as error:
        check_backend("mirror", groups=["functions", "seeds"])
    assert all(f"wengert.{name}: AssertionError" in str(error.value) for name in ("flip",))
    assert "seed-two_equations" in str(error.value)


def test_a_device_that_is_not_here(registry: Registry) -> None:
    use(registry, broken(devices=lambda self: [DeviceInfo("mirror", False, "no driver is installed")]))
    assert unavailable("mirror") == "no driver is installed" and "mirror" not in ready()
    with pytest.raises(RuntimeError, match="device 'mirror' cannot be used here: no driver is installed"):
        check_backend("mirror")


def test_a_plugin_that_registers_a_heavy_module_is_found(tmp_path: Path) -> None:
    """In an interpreter of its own: the device's plugin imports a library, and the module of the device."""
    (tmp_path / "wengert_heavy.py").write_text(
        "import heavy_library, heavy_device\nfrom wengert.plugins import hookimpl\n@hookimpl\n"
        "def wengert_register_devices(registry):\n    registry.device('heavy', 'heavy_device:Heavy')\n"
    )
    (tmp_path / "heavy_library.py").write_text("")
    (tmp_path / "heavy_device.py").write_text(
        "import numpy as np\nfrom wengert_numpy.device import NumpyBackend\nfrom wengert.backend import DeviceInfo\n"
        "class A(np.ndarray): pass\nclass Heavy(NumpyBackend):\n    name, array_type = 'heavy', A\n"
    )
    info = tmp_path / "wengert_heavy-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: wengert-heavy\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[wengert.plugins]\nheavy = wengert_heavy\n")
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nimport wengert; wengert.plugins.load_all()\n"
        "from wengert.testing.device import light\nlight('heavy')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "registering 'heavy' imported ['heavy_device', 'heavy_library', " in done.stderr, done.stderr


class TestHost(DeviceSuite):
    """The suite itself, as a stranger's package has it, on the host's device."""

    device = "cpu"
    test_kernels = test_integers = test_optimizers = None  # type: ignore[assignment]  # test_ops.py and check_backend do these


# ---- the rest of the kit
def test_programs_know_what_they_end_in() -> None:
    assert PROGRAMS.keys() == KNOWN.keys() and len(PROGRAMS) >= 8


def test_an_isolated_registry_is_as_before() -> None:
    before = {kind: dict(table) for kind, table in torch.registry.registry.tables.items()}
    ops, loaded, names = set(OPS), dict(plugins.loaded), dir(torch)
    with isolated_registry() as found:
        bell()
        found.op("kit_op", abs)
        found.method("kit_method", abs)
        found.device("mirror", Mirror)
        found.optimizer("KitSGD", Right)
        found.extension("communicators", "kit", object())
        assert torch.kit_op(-1) == 1 and torch.optim.KitSGD is Right
        torch.ones(2, device="mirror").kit_method  # noqa: B018
        found.op("sin", abs, override=True)
        assert torch.sin(-1) == 1
    assert {kind: dict(table) for kind, table in torch.registry.registry.tables.items()} == before
    assert set(OPS) == ops and dict(plugins.loaded) == loaded and dir(torch) == names
    assert not hasattr(torch, "kit_op") and not hasattr(torch.ones(1), "kit_method") and "mirror" not in backend._by_name
    with pytest.raises(RuntimeError, match="unknown device 'mirror'"):
        torch.ones(1, device="mirror")
    assert torch.sin(torch.zeros(1)).item() == 0


def test_every_record_has_a_row_that_the_kit_tries() -> None:
    assert {name for name, op in OPS.items() if "test" not in name} <= set(every()) | {"bell"}


def test_the_kit_is_asked_for() -> None:
    done = subprocess.run([sys.executable, "-c", "import sys, wengert.testing\nprint(*sys.modules)"], capture_output=True, text=True)
    assert {"pytest", "hypothesis", "scipy", "wengert.testing.cases"} & set(done.stdout.split()) == set()
