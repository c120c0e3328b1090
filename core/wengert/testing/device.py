"""Whether a device is right: everything that wengert's own devices must pass, for anybody's.

Owns: the list of checks of a device, `DeviceSuite`, which pytest runs one by one, and `check_backend`, which runs them all.
May import: `wengert`'s public names, backend and registry, the case table; pytest when a suite runs. Must not know: any device.
A gap is an op (or another check) that a device is known to refuse, with the reason. It must really be refused, with an
error: a gap that computes a wrong value fails, and so does one that has been closed.
"""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import wengert as w
from wengert import backend
from wengert.op import OPS
from wengert.registry import registry
from wengert.testing import programs, seeds
from wengert.testing.cases import FUNCTIONS, Case, every
from wengert.testing.ops import LAYOUTS, call, flat, layouts
from wengert.testing.optimizer import Training

Array = np.ndarray[Any, Any]
TOLERANCE = {"float64": 1e-12, "float32": 1e-5, "complex128": 1e-12, "complex64": 1e-5}
INTEGERS = ("int64", "int32", "int16", "int8", "uint8", "bool")
OPTIONS = {"SGD": {"lr": 0.1, "momentum": 0.9}, "RMSprop": {"lr": 0.01, "momentum": 0.5}}  # what optimizers are tried with
# Results that are unique but for signs: what they make when put together again.
TOGETHER: dict[str, Callable[..., list[Any]]] = {
    "eigh": lambda v, q: [v, (q * v[..., None, :]) @ np.conj(np.swapaxes(q, -1, -2))],
    "svd": lambda u, v, h: [v, (u[..., : v.shape[-1]] * v[..., None, :]) @ h[..., : v.shape[-1], :]],
}
STAYS = {"cpu", "to", "from_numpy"}  # functions whose results are not where their inputs are


# ---- devices of this machine
def unavailable(device: str) -> str:
    """Return why a device cannot be used here, or nothing."""
    infos = backend.backend_named(device.split(":")[0]).devices()
    if any(info.available and device in (info.name, info.name.split(":")[0]) for info in infos):
        return ""
    return "; ".join(info.description for info in infos) or "its backend lists no device"


def ready() -> list[str]:
    """Return the names of all devices that can be used here, and whose arrays have values."""
    found = []
    for name in registry.names("devices"):
        try:
            if not unavailable(name):
                back(there(np.zeros(1, np.float32), name))
                found.append(name)
        except NotImplementedError:
            continue
        except Exception as error:
            warnings.warn(f"device {name} is left out: {type(error).__name__}: {error}", stacklevel=2)
    return found


# ---- arrays there and back
def there(array: Any, device: str, kind: str = "plain") -> w.Tensor:
    """Return a host array as a tensor on a device, laid out there in another way."""
    array = np.asarray(array)
    made: w.Tensor
    if kind == "transposed":
        made = w.from_numpy(array.T.copy()).to(device).permute(*reversed(range(array.ndim)))
    elif kind == "strided":
        wide = np.full((*array.shape, 2), 7, array.dtype)
        wide[..., 0] = array
        made = w.from_numpy(wide).to(device).select(-1, 0)
    else:
        made = w.from_numpy(array.copy()).to(device)
    return made


def back(x: Any) -> Any:
    return x.detach().cpu().numpy() if isinstance(x, w.Tensor) else x


def near(actual: Any, expected: Any, tolerance: float, what: str) -> None:
    if not isinstance(expected, np.ndarray):
        assert actual == expected or (actual != actual and expected != expected), f"{what}: {actual!r} for {expected!r}"
        return
    assert actual.dtype == expected.dtype, f"{what}: {actual.dtype} for {expected.dtype}"
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape} for {expected.shape}"
    np.testing.assert_allclose(actual, expected, tolerance, tolerance, err_msg=what)


def _apart(*values: Any) -> list[Any]:
    return list(values)


def compare(case: Case, device: str, dtype: str, against: str = "") -> None:
    """Raise AssertionError unless a row gives on a device what it gives on the host, in every layout, inputs unchanged.

    against: the dtype that the host computes in, where it is another; then results need only be near.
    """
    samples = case.samples if against else (*case.samples, *case.kinks)
    for sample in samples:
        arrays = [a.astype(dtype) if a.dtype.kind == "f" else a for a in sample.arrays(case.name)]
        wide = [a.astype(against) if against and a.dtype.kind == "f" else a.copy() for a in arrays]
        expected = [back(r) for r in flat(call(w, case, sample, [w.from_numpy(a) for a in wide]))]
        for kind in layouts(case, sample):
            inputs = [there(a, device, kind) for a in arrays]
            with backend.device(device):
                results = flat(call(w, case, sample, inputs))
            what = f"{case.name}{sample}, {dtype}, {kind}"
            assert len(results) == len(expected), f"{what}: {len(results)} results for {len(expected)}"
            for a in results:
                if isinstance(a, w.Tensor) and inputs and case.name not in STAYS:
                    assert a.device.type == backend.device(device).type, f"{what}: the result is on {a.device}"
                if isinstance(a, w.Tensor):
                    dtype_ = a._array.dtype
                    assert dtype_ is backend.native(dtype_), f"{what}: {dtype_} is not the object of `native`"
            put: Callable[..., list[Any]] = TOGETHER.get(case.name, _apart)
            for a, e in zip(put(*[back(r) for r in results]), put(*expected), strict=True):
                if against and isinstance(e, np.ndarray) and e.dtype == against:
                    e = e.astype(dtype)
                    near(a, e, 1e-4 * max(1.0, float(np.max(np.abs(e), initial=0))), what)
                else:
                    kind_ = str(getattr(e, "dtype", dtype))  # integers become floats of the default type
                    near(a, e, max(TOLERANCE.get(dtype, 0), TOLERANCE.get(kind_, 0)), what)
            for before, after in zip(arrays, inputs, strict=True):
                np.testing.assert_array_equal(back(after), before, err_msg=f"{what}: an input was changed")


# ---- the checks
@dataclass(frozen=True)
class Check:
    """One thing that must hold. `keys` are the names under which a gap may list it; without `bare` the device must be here."""

    name: str
    keys: tuple[str, ...]
    run: Callable[[], None]
    bare: bool = False


def kernels(device: str, dtypes: Sequence[str]) -> Iterator[Check]:
    """Every op record, with the samples of its row, by dtype and layout."""
    for name, case in sorted(every().items()):
        if case.samples and not case.random and name != "to_device":
            for dtype in dtypes:
                yield Check(f"{name}-{dtype}", (name, f"{name}-{dtype}"), functools.partial(compare, case, device, dtype))


def integers(device: str, dtypes: Sequence[str]) -> Iterator[Check]:
    """Elementwise ops that take integers and bools: what the host computes, or an error of the same kind."""
    for name, case in sorted(every().items()):
        if case.integers and name in OPS and OPS[name].elementwise:
            params = [a for a in case.samples[0].args if not hasattr(a, "draw")]
            for dtype in (d for d in INTEGERS if all(np.asarray(p).astype(d) == p for p in params)):
                run = functools.partial(compare_integers, case, device, dtype)
                yield Check(f"{name}-{dtype}", (f"{name}-{dtype}", f"{name}-integers"), run)


def compare_integers(case: Case, device: str, dtype: str) -> None:
    op, rng = OPS[case.name], np.random.default_rng(0)
    low, high = (0, 2) if dtype == "bool" else (0 if dtype == "uint8" else -9, 10)
    arrays = [rng.integers(low, high, (3, 4)).astype(dtype) for _ in op.inputs]
    if case.name in ("power", "left_shift", "right_shift", "floor_divide", "trunc_divide", "remainder", "fmod"):
        arrays[1] = np.maximum(abs(arrays[1]), 1).astype(dtype)  # small, and no 0 to divide by
        arrays[1] = np.minimum(arrays[1], 7).astype(dtype)
    params = [a for a in case.samples[0].args if not hasattr(a, "draw")]

    def run(tensors: list[w.Tensor]) -> Any:
        try:
            return back(op(*tensors, *params))
        except Exception as error:
            return error

    expected, actual = run([w.from_numpy(a) for a in arrays]), run([there(a, device) for a in arrays])
    if isinstance(actual, Exception) and not isinstance(expected, Exception):
        raise actual
    if isinstance(expected, Exception):
        assert isinstance(actual, Exception), f"{case.name} of {dtype}: {actual!r}, the host raises {expected!r}"
    else:
        near(actual, expected, 1e-5, f"{case.name} of {dtype}")


def functions(device: str, dtypes: Sequence[str]) -> Iterator[Check]:
    """PyTorch's functions and methods: views, writes, indexing, reductions, products, new tensors."""
    for name, case in sorted(FUNCTIONS.items()):
        if case.samples and not case.random:
            yield Check(f"wengert.{name}", (f"wengert.{name}",), functools.partial(compare, case, device, dtypes[0]))


def documents(device: str, dtypes: Sequence[str]) -> Iterator[Check]:
    """The programs that wengert began with end in the numbers they ended in then."""

    def run(name: str) -> None:
        with backend.device(device):
            found = seeds.check(name, w)
        for key, value in seeds.check(name, w).items():
            np.testing.assert_allclose(found[key], value, 1e-3, 1e-5, err_msg=f"{name}: {key} differs from the host's")

    for name in seeds.PROGRAMS:
        yield Check(f"seed-{name}", (f"seed-{name}",), functools.partial(run, name))


def optimizers(device: str, dtypes: Sequence[str]) -> Iterator[Check]:
    """Every optimizer, of any package, takes the steps that it takes on the host."""

    def run(name: str) -> None:
        optimizer, options = getattr(w.optim, name), OPTIONS.get(name, {})
        tolerance = 1e-8 if dtypes[0] == "float64" else 1e-3
        actual, expected = (Training(optimizer, options, place, dtypes[0]).run(3) for place in (device, "cpu"))
        for a, e in zip(actual, expected, strict=True):
            np.testing.assert_allclose(a, e, tolerance, tolerance, err_msg=name)

    for name in registry.names("optimizers"):
        if "." not in name:
            yield Check(f"optimizer-{name}", (f"optimizer-{name}",), functools.partial(run, name))


def random_programs(device: str, dtypes: Sequence[str], count: int = 100) -> Iterator[Check]:
    """Random programs of views, writes and arithmetic give what they give on the host, gradients of three orders included."""

    def run(seed: int) -> None:
        steps, host = programs.program(seed)
        with backend.device(device):
            other = programs.Run(w, seed)
            for n, step in enumerate(steps):
                last = n == len(steps) - 1
                went = other.take(step)
                if not went and not (last and host.raised):
                    raise other.error or AssertionError(other.words)
                assert went == (not (last and host.raised)), f"step {n} {step} raises {host.words!r} on the host alone"
            found = other.results()
        expected = host.results()
        if isinstance(found[-1], str) and found[-1] != expected[-1]:
            raise other.error or AssertionError(found[-1])
        wrong = [k for k, (a, b) in enumerate(zip(found, expected, strict=True)) if not programs.same(a, b)]
        text = programs.shown(steps)
        assert not wrong, f"values {wrong} differ, the first: {found[wrong[0]]} for {expected[wrong[0]]}\n{text}"

    if "float64" in dtypes:
        for seed in range(count):
            yield Check(f"program-{seed}", (f"program-{seed}",), functools.partial(run, seed))


# ---- the device itself
def protocol(device: str) -> None:
    """The backend is what `wengert.backend.Backend` says."""
    owner = backend.backend_named(device)
    infos = owner.devices()
    assert infos and all(isinstance(info, backend.DeviceInfo) for info in infos), f"devices() lists no DeviceInfo: {infos}"
    assert all(info.name.split(":")[0] == owner.name for info in infos), f"names of {owner.name}: {[i.name for i in infos]}"
    host = np.arange(6, dtype=np.float32).reshape(2, 3)
    raw = owner.from_host(host, 0)
    assert isinstance(raw, owner.array_type), f"from_host gave {type(raw)}, array_type is {owner.array_type}"
    assert tuple(raw.shape) == (2, 3) and raw.ndim == 2 and raw.size == 6 and raw.dtype == np.float32
    assert tuple(raw.strides) == (12, 4) and raw.flags.c_contiguous and raw.base is None
    host[0, 0] = 9
    assert owner.to_host(raw)[0, 0] == 0, "from_host must copy: the host's array was changed, and the device's with it"
    copied = owner.copy(raw)
    owner.write(raw, np.asarray(5, np.float32))
    assert owner.to_host(raw).tolist() == [[5] * 3] * 2 and owner.to_host(copied)[0, 1] == 1
    owner.add_into(copied, raw)
    assert owner.to_host(copied).tolist() == [[5, 6, 7], [8, 9, 10]]
    assert owner.index_of(raw) == 0 and owner.address(raw) != owner.address(copied)
    view = OPS["getitem"].kernels[type(raw)](raw, (1,))
    assert view.base is not None and owner.address(view) != owner.address(raw), "a view says whose memory it has: base, address"
    owner.write(view, np.asarray(-1, np.float32))
    assert owner.to_host(raw).tolist() == [[5] * 3, [-1] * 3], "a write to a view must reach the memory it looks at"
    assert owner.to_host(2 - raw * 2 + raw / 4).tolist() == [[-6.75] * 3, [3.75] * 3], "arrays need Python's operators"
    with owner.quiet():
        owner.synchronize(0)


def layouts_(device: str) -> None:
    """Views share memory in every layout, and writes go through them."""
    a = np.arange(24.0, dtype=np.float32).reshape(2, 3, 4)
    for kind in LAYOUTS:
        host, x = a.copy(), there(a, device, kind)
        view = x.permute(2, 0, 1)[1:3]
        assert not view.is_contiguous() and view._base is not None
        view += 100
        host.transpose(2, 0, 1)[1:3] += 100
        x[0, :, ::2] = 7
        host[0, :, ::2] = 7
        x.select(1, 2).mul_(there(np.array([2, 3, 4, 5], np.float32), device))
        host[:, 2] *= [2, 3, 4, 5]
        x.diagonal(0, 1, 2).zero_()
        np.einsum("ijj->ij", host[:, :, :3])[...] = 0
        np.testing.assert_array_equal(back(x), host, err_msg=f"layout {kind}")


def carried(device: str, dtypes: Sequence[str]) -> None:
    """Every type of number goes there and comes back bit by bit; other places refuse to mix."""
    rng = np.random.default_rng(0)
    for name in (*dtypes, *INTEGERS):
        values = (rng.normal(size=(3, 5)) * 9).astype(name)
        np.testing.assert_array_equal(back(there(values, device)), values, err_msg=name)
        np.testing.assert_array_equal(back(there(values[:0], device)), values[:0], err_msg=f"{name}, empty")
    if backend.device(device).type != "cpu":
        try:
            there(np.array([1, 2], np.float32), device) + w.ones(2)
        except RuntimeError as error:
            assert "device" in str(error), f"an error for tensors of two devices names no device: {error}"
        else:
            raise AssertionError("tensors of two devices were added: that must raise RuntimeError")


def dlpack(device: str) -> None:
    """Tensors go round through DLPack, over the host where the device's memory is no host memory."""
    x = there(np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32), device)
    again = w.from_dlpack(x.cpu()).to(device)
    np.testing.assert_array_equal(back(again), back(x))
    assert again.device == x.device and np.from_dlpack(x.cpu()).tolist() == back(x).tolist()
    try:
        direct = w.from_dlpack(x)
    except (BufferError, TypeError, RuntimeError) as error:
        assert re.search(r"cpu\(\)|host", str(error)), f"the refusal names no remedy, as Tensor.cpu(): {error}"
    else:
        np.testing.assert_array_equal(back(direct), back(x))


def determinism(device: str, dtypes: Sequence[str]) -> None:
    """The same program gives the same bits, and random numbers are those of the host's generator."""

    def make(params: Any) -> Any:
        return w.optim.SGD(params, lr=0.1, momentum=0.9)

    first, second = (Training(make, {}, device, dtypes[0]).run(5) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b, err_msg="two runs of one training differ")
    drawn = []
    for place in (device, device, "cpu"):
        w.manual_seed(7)
        drawn.append([back(v) for v in (w.rand(3, 50, device=place), w.randn(99, device=place), w.randperm(33, device=place))])
    for other in drawn[1:]:
        for a, b in zip(drawn[0], other, strict=True):
            np.testing.assert_array_equal(a, b, err_msg="random numbers do not follow the seed")


LIGHT = """
import json, os, sys
os.environ["WENGERT_LOAD_PLUGINS"] = {plugin!r}  # what other plugins import is their own affair
import wengert
wengert.plugins.load_all()
entry = wengert.registry.registry.tables["devices"].get({device!r})
print(json.dumps([sorted(sys.modules), None if entry is None else [entry.plugin, str(entry.value)],
                  [p.module for p in wengert.plugins.loaded.values()]]))
"""


def light(device: str) -> None:
    """Finding the plugin imports nothing but its own light module: no array library, not the module of the device."""
    assert registry.has("devices", device), f"no plugin brings the device {device!r}"
    plugin = registry.tables["devices"][device].plugin
    modules, entry, known = json.loads(apart(LIGHT.format(device=device, plugin=plugin)).stdout.splitlines()[-1])
    assert entry is not None, f"a new interpreter does not find {device!r}: is its package installed, with an entry point?"
    ours = {"wengert", "pluggy", "numpy", "__main__", *(name.split(":")[0].split(".")[0] for name in known)}
    foreign = {m.split(".")[0] for m in modules} - ours - set(sys.stdlib_module_names)
    foreign -= {m.split(".")[0] for m in json.loads(apart(EMPTY).stdout.splitlines()[-1])}
    assert not foreign, f"registering {device!r} imported {sorted(foreign)}: register 'module:attr', and import in that module"
    target = entry[1].partition(":")[0]
    assert target not in modules, f"registering {device!r} imported {target!r}, which must wait until the device is used"


EMPTY = "import json, sys, wengert, pluggy, importlib.metadata\nprint(json.dumps(sorted(sys.modules)))"


def apart(program: str, *flags: str) -> subprocess.CompletedProcess[str]:
    """Run a program in an interpreter of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run([sys.executable, *flags, "-c", program], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done


ABSENT = """
import sys
for name in {needs!r}:
    sys.modules[name] = None
import wengert
from wengert.__main__ import main
assert main(["devices"]) == 0
try:
    wengert.ones(1, device={device!r})
except RuntimeError as error:
    print("RAISED", " ".join(str(error).split()))
else:
    print("NOTHING RAISED")
"""


def absent(device: str, needs: Sequence[str]) -> None:
    """Without the device's library, or for a device that is not there, one error says what is missing; nothing else breaks."""
    if needs:
        lines = apart(ABSENT.format(device=device, needs=tuple(needs))).stdout.splitlines()
        listed = [line for line in lines if line.split()[:1] == [device]]
        assert listed and "unavailable" in listed[0], f"without {needs} `wengert devices` shows {listed}"
        raised = lines[-1]
        assert raised.startswith("RAISED") and (device in raised or any(name in raised for name in needs)), (
            f"without {needs}, asking for {device!r} must raise RuntimeError that names what is missing: {raised}"
        )
    elif backend.device(device).type != "cpu":
        try:
            w.ones(1, device=f"{device}:99")
        except RuntimeError as error:
            assert device in str(error) or "99" in str(error), f"the error for {device}:99 does not name it: {error}"
        else:
            raise AssertionError(f"{device}:99 was accepted: from_host must raise RuntimeError for an index that is not there")


def itself(device: str, dtypes: Sequence[str], needs: Sequence[str]) -> Iterator[Check]:
    """The device itself: its protocol, its memory, what it costs to know of it, what it says where it is missing."""
    of = functools.partial
    for name, run, bare in (
        ("protocol", of(protocol, device), False), ("layouts", of(layouts_, device), False),
        ("carried", of(carried, device, dtypes), False), ("dlpack", of(dlpack, device), False),
        ("determinism", of(determinism, device, dtypes), False), ("light", of(light, device), True),
        ("absent", of(absent, device, needs), bool(needs)),
    ):  # fmt: skip
        yield Check(f"device-{name}", (f"device-{name}",), run, bare)


# ---- all of it, with its gaps
@dataclass
class Report:
    """How many checks a device passed, and which it refused as its gaps say: reasons by the name of the check."""

    device: str
    passed: int = 0
    gaps: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.device}: {self.passed} checks passed, {len(self.gaps)} refused as its gaps say"


GROUPS = ("kernels", "integers", "functions", "seeds", "optimizers", "programs", "device")


def checks(group: str, device: str, dtypes: Sequence[str], needs: Sequence[str], gaps: Mapping[str, str]) -> list[Check]:
    """Return the checks of a group. Of an op that is a gap as a whole, integers are not tried."""
    made: dict[str, Callable[[], Iterator[Check]]] = {
        "kernels": lambda: kernels(device, dtypes), "integers": lambda: integers(device, dtypes),
        "functions": lambda: functions(device, dtypes), "seeds": lambda: documents(device, dtypes),
        "optimizers": lambda: optimizers(device, dtypes), "programs": lambda: random_programs(device, dtypes),
        "device": lambda: itself(device, dtypes, needs),
    }  # fmt: skip
    found = list(made[group]())
    return [c for c in found if group != "integers" or c.name.rpartition("-")[0] not in gaps]


def attempt(check: Check, gaps: Mapping[str, str]) -> str:
    """Run a check. Return the reason if it was refused as a gap says, nothing if it passed; raise if neither.

    Beside its own gap, a check may run into the gap of an op that it uses: NotImplementedError that names the op.
    """
    reason = next((gaps[key] for key in check.keys if key in gaps), "")
    try:
        check.run()
    except AssertionError:
        raise
    except Exception as error:
        met = re.findall(r"op '(\w+)'|^(\w+):", str(error)) if isinstance(error, NotImplementedError) else []
        reason = reason or next((gaps[name] for pair in met for name in pair if name in gaps), "")
        if not reason:
            raise
        return reason
    if reason:
        raise AssertionError(f"{check.name} passes now: take it out of the gaps ({reason!r})")
    return ""


def unused(gaps: Mapping[str, str], found: Sequence[Check]) -> list[str]:
    """Return the gaps that are the name of no check."""
    known = {key for check in found for key in check.keys}
    return sorted(set(gaps) - known)


def check_backend(
    device: str, *, gaps: Mapping[str, str] | None = None, dtypes: Sequence[str] = ("float64", "float32"),
    needs: Sequence[str] = (), groups: Sequence[str] = GROUPS,
) -> Report:  # fmt: skip
    """Run every check of a device; return how many passed. Raises AssertionError that lists what failed, or RuntimeError
    where the device is not on this machine.

    gaps: what the device is known to refuse, with reasons: an op ("eigh"), an op in a type ("exp-float32", "gcd-int8",
    "power-integers"), a function ("wengert.sort"), "seed-...", "optimizer-...", "program-..." or "device-...". Each must be
    refused with an error; one that passes is a failure. dtypes: the floats it computes in. needs: the libraries it is
    made of, without which it must say what is missing. groups: which of `GROUPS` to run.
    """
    gaps = dict(gaps or {})
    why = unavailable(device)
    if why:
        raise RuntimeError(f"device {device!r} cannot be used here: {why}")
    every_check = [c for group in GROUPS for c in checks(group, device, dtypes, needs, gaps)]
    failed = [f"gaps: {name!r} names no check" for name in unused(gaps, every_check)]
    report = Report(device)
    for group in groups:
        for check in checks(group, device, dtypes, needs, gaps):
            try:
                reason = attempt(check, gaps)
            except Exception as error:
                text = " ".join(f"{type(error).__name__}: {error}".split())
                failed.append(f"{check.name}: {text[:300]}")
            else:
                report.passed += not reason
                if reason:
                    report.gaps[check.name] = reason
    if failed:
        shown = "\n  ".join(failed[:40]) + (f"\n  ... and {len(failed) - 40} more" if len(failed) > 40 else "")
        raise AssertionError(f"{device}: {len(failed)} checks failed, {report.passed} passed\n  {shown}")
    return report


class DeviceSuite:
    """Every check of a device as a test of its own: subclass it, name the device, and list what it is known to refuse.

        from wengert.testing import DeviceSuite

        class TestMine(DeviceSuite):
            device = "mine"
            gaps = {"eigh": "the library has no eigenvalues"}
            needs = ("the_library",)

    The attributes are the arguments of `check_backend`. On a machine without the device the tests that need it are skipped,
    with the reason that the device gives.
    """

    device: str
    gaps: Mapping[str, str] = {}
    dtypes: Sequence[str] = ("float64", "float32")
    needs: Sequence[str] = ()

    def pytest_generate_tests(self, metafunc: Any) -> None:
        if "check" in metafunc.fixturenames:
            group = metafunc.function.__name__.removeprefix("test_")
            found = checks(group, self.device, self.dtypes, self.needs, self.gaps)
            metafunc.parametrize("check", found, ids=[c.name for c in found])

    def run(self, check: Check) -> None:
        """Run one check: it passes, is skipped without the device, or is expected to fail as its gap says."""
        import pytest

        why = "" if check.bare else _why(self.device)
        if why:
            pytest.skip(f"{self.device}: {why}")
        with np.errstate(all="ignore"):  # pytest shows warnings that wengert turns off, of logarithms of 0 for one
            reason = attempt(check, self.gaps)
        if reason:
            pytest.xfail(reason)

    def test_kernels(self, check: Check) -> None:
        self.run(check)

    def test_integers(self, check: Check) -> None:
        self.run(check)

    def test_functions(self, check: Check) -> None:
        self.run(check)

    def test_seeds(self, check: Check) -> None:
        self.run(check)

    def test_optimizers(self, check: Check) -> None:
        self.run(check)

    def test_programs(self, check: Check) -> None:
        self.run(check)

    def test_device(self, check: Check) -> None:
        self.run(check)

    def test_every_gap_is_the_name_of_a_check(self) -> None:
        found = [c for group in GROUPS for c in checks(group, self.device, self.dtypes, self.needs, self.gaps)]
        assert unused(self.gaps, found) == []


_why = functools.cache(unavailable)
