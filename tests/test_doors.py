"""Other libraries take tensors as they are: einops, opt_einsum, SciPy, scikit-learn, DLPack, tensorboardX.

Owns a proof for each, with gradients where the library passes them through. Needs the extra `doors`; what is not installed is
skipped. SciPy reads SCIPY_ARRAY_API when it is imported, so what needs it runs in a process of its own.
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import wengert as w

PLACES = ["cpu", "opencl"]
OLD = np.lib.NumpyVersion(np.__version__) < "2.1.0"
VERSIONED = pytest.mark.skipif(OLD, reason="NumPy 2.0 knows capsules without versions alone")


@pytest.fixture(params=PLACES)
def place(request: Any) -> str:
    if request.param != "cpu":
        reason = next((i.description for i in w.device(request.param).backend.devices() if not i.available), None)
        if reason or not w.device(request.param).backend.devices():
            pytest.skip(f"no {request.param} device here: {reason}")
    return str(request.param)


@pytest.fixture
def x(place: str) -> Any:
    return w.tensor(np.arange(24.0).reshape(2, 3, 4) / 7, device=place, requires_grad=True)


def host(x: Any) -> Any:
    return x.detach().numpy(force=True)


# ---- einops
EINOPS = {
    "rearrange": lambda E, x: E.rearrange(x, "b (h k) c -> (b c) k h", k=3),
    "flatten": lambda E, x: E.rearrange(x, "b h c -> (b h c)"),
    "list": lambda E, x: E.rearrange([x[0], x[1]], "b h c -> h c b"),
    "repeat": lambda E, x: E.repeat(x, "b h c -> b h (two c) r", two=2, r=3),
    "pack": lambda E, x: E.pack([x, x[:, :2]], "b * c")[0],
    **{n: (lambda E, x, n=n: E.reduce(x, "b h c -> b c", n)) for n in ("sum", "mean", "max", "min", "prod")},
    "reduce to nothing": lambda E, x: E.reduce(x, "b h c -> ", "mean"),
    "reduce (pooling)": lambda E, x: E.reduce(x, "b h (c two) -> b c h", "max", two=2),
    "einsum": lambda E, x: E.einsum(x, x, "b h c, b k c -> b h k"),
}


@pytest.mark.parametrize("name", EINOPS)
def test_einops(name: str, x: Any) -> None:
    einops = pytest.importorskip("einops", reason="pip install 'wengert[doors]'")
    run = EINOPS[name]
    result = run(einops, x)
    np.testing.assert_allclose(host(result), run(einops, host(x)), 1e-12)
    assert result.device == x.device
    (result**2).sum().backward()
    step, values = 1e-6, host(x).copy()
    values[1, 2, 1] += step
    forward = (run(einops, values) ** 2).sum()
    values[1, 2, 1] -= 2 * step
    slope = (forward - (run(einops, values) ** 2).sum()) / (2 * step)
    assert abs(host(x.grad)[1, 2, 1] - slope) <= 1e-6 * max(1, abs(slope))


def test_einops_knows_tensors_whichever_is_imported_first() -> None:
    pytest.importorskip("einops", reason="pip install 'wengert[doors]'")
    use = "print(einops.rearrange(w.ones(2, 3), 'a b -> (b a)').shape, einops.parse_shape(w.ones(2, 3), 'a b'))"
    for imports in ("import einops, wengert as w", "import wengert as w, einops"):
        done = subprocess.run([sys.executable, "-W", "error", "-c", f"{imports}\n{use}"], capture_output=True, text=True)
        assert (done.stdout, done.stderr) == ("torch.Size([6]) {'a': 2, 'b': 3}\n", "")


# ---- opt_einsum
@pytest.mark.parametrize("equation", ["bhc,bkc,bh->kb", "bhc,xhc,xy->by", "abc,abc,abc->"])
def test_opt_einsum(equation: str, x: Any) -> None:
    contract = pytest.importorskip("opt_einsum", reason="pip install 'wengert[doors]'").contract
    shapes = {"bhc": x, "bkc": x * 2, "bh": x[..., 0], "xhc": x, "xy": x[:, :2, 1], "abc": x}
    operands = [shapes[term] for term in equation.split("->")[0].split(",")]
    result = contract(equation, *operands)
    assert isinstance(result, w.Tensor) and result.device == x.device
    np.testing.assert_allclose(host(result), np.einsum(equation, *map(host, operands)), 1e-12)
    (by_contraction,) = w.autograd.grad((result**2).sum(), x)
    operands = [{"bhc": x, "bkc": x * 2, "bh": x[..., 0], "xhc": x, "xy": x[:, :2, 1], "abc": x}[t] for t in equation.split("->")[0].split(",")]
    (at_once,) = w.autograd.grad((w.einsum(equation, *operands) ** 2).sum(), x)
    np.testing.assert_allclose(host(by_contraction), host(at_once), 1e-10)


def test_opt_einsum_expressions_are_used_again() -> None:
    expression = pytest.importorskip("opt_einsum", reason="pip install 'wengert[doors]'").contract_expression("ab,bc,cd->ad", (2, 3), (3, 4), (4, 5))
    parts = [w.randn(2, 3), w.randn(3, 4), w.randn(4, 5)]
    assert w.allclose(expression(*parts), parts[0] @ parts[1] @ parts[2], atol=1e-6)


# ---- files
def test_files_of_other_libraries_are_read_and_never_run(tmp_path: Any, place: str) -> None:
    from wengert.utils import safetensors

    values = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.asarray(7)}
    np.savez(tmp_path / "plain.npz", **values)
    np.savez_compressed(tmp_path / "small.npz", **values)
    safetensors.save_file({k: w.tensor(v) for k, v in values.items()}, tmp_path / "x.safetensors")
    for name in ("plain.npz", "small.npz", "x.safetensors"):
        found = w.load(tmp_path / name, place)
        assert {k: v.tolist() for k, v in found.items()} == {k: v.tolist() for k, v in values.items()}
        assert found["a"].dtype == w.float32 and found["a"].device.type == place
        with pytest.raises(TypeError, match="is a device or its name"):
            w.load(tmp_path / name, lambda storage, name: storage)
    np.savez(tmp_path / "objects.npz", a=np.asarray([{}], object))
    with pytest.raises(RuntimeError, match="Python objects, a pickle, which is not run"):
        w.load(tmp_path / "objects.npz")


# ---- DLPack
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "uint32", "uint64", "int64", "float16", "float32", "float64", "complex64"])
def test_dlpack_there_and_back_with_numpy(dtype: str) -> None:
    theirs = np.arange(6).reshape(2, 3).astype(dtype)
    mine = w.from_dlpack(theirs.T)
    assert mine.dtype.name == dtype and np.shares_memory(mine.numpy(), theirs) and mine.tolist() == theirs.T.tolist()
    again = np.from_dlpack(mine)
    assert np.shares_memory(again, theirs) and again.dtype == theirs.dtype and again.strides == theirs.T.strides


@pytest.mark.parity
@pytest.mark.parametrize("dtype", ["uint8", "int32", "float16", "float32", "float64", "complex128"])
def test_dlpack_there_and_back_with_torch(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.arange(6).reshape(2, 3).to(getattr(torch, dtype))
    mine = w.from_dlpack(theirs.T)
    mine[0, 1] = 9
    assert theirs[1, 0] == 9 and mine.dtype.name == dtype
    again = torch.from_dlpack(mine)
    again[2, 0] = 5
    assert theirs[0, 2] == 5 and again.stride() == theirs.T.stride()


@VERSIONED
def test_dlpack_capsules_have_versions_where_they_are_asked_for() -> None:
    x = w.ones(2)
    kinds = {None: '"dltensor"', (0, 8): '"dltensor"', (1, 0): '"dltensor_versioned"', (9, 9): '"dltensor_versioned"'}
    for version, kind in kinds.items():
        assert kind in repr(x.__dlpack__(max_version=version))
    assert x.__dlpack__(dl_device=(1, 0), copy=False) is not None
    copied = np.from_dlpack(x, copy=True)
    assert not np.shares_memory(copied, x.numpy())
    with pytest.raises(BufferError, match=r"to the DLPack device \(2, 0\); use tensor.to"):
        x.__dlpack__(dl_device=(2, 0))


@VERSIONED
def test_dlpack_says_what_may_not_be_written() -> None:
    frozen = np.arange(3.0)
    frozen.flags.writeable = False
    x = w.from_dlpack(frozen)
    with pytest.raises(RuntimeError, match="read-only"):
        x.add_(1)
    assert not np.from_dlpack(x).flags.writeable and frozen.tolist() == [0, 1, 2]
    with pytest.raises(BufferError, match="readonly"):
        x.__dlpack__()  # a capsule without a version cannot say it
    w.from_dlpack(frozen, copy=True).add_(1)


def test_dlpack_copies_only_where_it_may() -> None:
    host = np.arange(4.0)
    assert np.shares_memory(w.from_dlpack(host, copy=False).numpy(), host)
    assert not np.shares_memory(w.from_dlpack(host, copy=True).numpy(), host)
    assert w.from_dlpack(host[::-1]).tolist() == [3, 2, 1, 0]
    with pytest.raises(ValueError, match="copy=False"):
        w.from_dlpack(host[::-1], copy=False)


class Old:
    """An array of a library that knows DLPack from before version 1.0."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __dlpack__(self, stream: Any = None) -> Any:
        return self.array.__dlpack__()

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()


def test_dlpack_of_older_libraries() -> None:
    host = np.arange(3.0)
    x = w.from_dlpack(Old(host))
    x[0] = 5  # such capsules do not say whether the memory may be written: it may
    assert host[0] == 5


@VERSIONED
def test_dlpack_between_devices(place: str) -> None:
    x = w.arange(3.0, device=place)
    kind, index = x.__dlpack_device__()
    assert (kind, index) == {"cpu": (1, 0), "opencl": (4, 0)}[place]
    assert w.from_dlpack(x).device == x.device and w.from_dlpack(np.arange(2.0), device=place).device == x.device
    assert w.from_dlpack(x, device="cpu").tolist() == [0, 1, 2]
    assert np.asarray(np.from_dlpack(x, device="cpu")).tolist() == [0, 1, 2]
    if place != "cpu":
        for refused in (lambda: np.from_dlpack(x), lambda: x.__dlpack__(dl_device=(1, 0), copy=False)):
            with pytest.raises(BufferError, match="which copies"):
                refused()
        with pytest.raises(ValueError, match="copy=False"):
            w.from_dlpack(x, device="cpu", copy=False)


# ---- TensorBoard, by tensorboardX
def events(folder: Any) -> list[Any]:
    """Return what the event files of a folder hold: each record is its length, a checksum, an event and a checksum."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in sorted(folder.rglob("events*")):
        data = path.read_bytes()
        while data:
            size = int.from_bytes(data[:8], "little")
            found += [(value.tag, event.step, value) for event in [Event.FromString(data[12 : 12 + size])] for value in event.summary.value]
            data = data[16 + size :]
    return found


def test_summary_writer(tmp_path: Any) -> None:
    pytest.importorskip("tensorboardX", reason="pip install 'wengert[tensorboard]'")
    from wengert.utils.tensorboard import SummaryWriter

    loss = (w.ones(3, requires_grad=True) * 2).sum()
    with SummaryWriter(log_dir=tmp_path / "run") as writer:
        assert writer.log_dir == str(tmp_path / "run")
        for step in range(3):
            writer.add_scalar("loss", loss * step, step)
        writer.add_scalars("both", {"a": loss, "b": w.tensor([7.0])}, 1)
        writer.add_histogram("weights", w.arange(10.0), 2)
        writer.add_image("picture", w.rand(3, 4, 5))
        writer.add_text("words", "as they are")
        writer.add_hparams({"lr": 0.1, "batch": 8}, {"best": w.tensor(0.25, dtype=w.float16)})
        with pytest.raises(NotImplementedError, match="TorchScript"):
            writer.add_graph(w.nn.Linear(2, 2), w.ones(2))
    found = events(tmp_path)
    assert [(step, value.simple_value) for tag, step, value in found if tag == "loss"] == [(0, 0), (1, 6), (2, 12)]
    assert {value.simple_value for tag, _, value in found if tag.startswith("both")} == {6, 7}
    assert {value.simple_value for tag, _, value in found if tag == "best"} == {0.25}
    (weights,) = [value for tag, _, value in found if tag == "weights"]
    assert (weights.histo.num, weights.histo.sum, weights.histo.max) == (10, 45, 9)
    (picture,) = [value for tag, _, value in found if tag == "picture"]
    assert (picture.image.height, picture.image.width) == (4, 5)


# ---- SciPy and scikit-learn, by the array API standard
def python(program: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], env={**os.environ, **environment}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


SCIPY = """
import numpy as np, wengert as w
from scipy import cluster, differentiate, integrate, optimize, signal, special, stats, fft
rng = np.random.default_rng(0)
a, b = rng.normal(size=(2, 40))

def check(name, function, *args, **options):
    got = function(*[w.tensor(v, device=PLACE) for v in args], **options)
    expected = function(*args, **options)
    for mine, theirs in zip(got if isinstance(got, tuple) else (got,), expected if isinstance(got, tuple) else (expected,)):
        assert isinstance(mine, w.Tensor) and mine.device.type == PLACE, (name, type(mine))
        np.testing.assert_allclose(mine.numpy(force=True), theirs, 1e-8, 1e-10)
    print(name)

if PLACE == "cpu":  # SciPy takes these through NumPy, which reads the host's memory
    check("special.expit", special.expit, a)
    check("special.xlogy", special.xlogy, abs(a), abs(b))
    check("stats.pearsonr", lambda x, y: tuple(stats.pearsonr(x, y))[:1], a, b)
    check("stats.ttest_1samp", lambda x: tuple(stats.ttest_1samp(x, 0.0)), a)
check("special.logsumexp", special.logsumexp, a)
check("special.softmax", special.softmax, a)
check("stats.zscore", stats.zscore, a)
check("stats.skew", stats.skew, a)
check("stats.moment", stats.moment, a, order=3)
check("stats.gmean", stats.gmean, abs(a))
check("fft.fft", fft.fft, a)
check("fft.rfftn", fft.rfftn, a.reshape(5, 8))
check("signal.fftconvolve", signal.fftconvolve, a, b)
check("integrate.trapezoid", integrate.trapezoid, a)
check("cluster.whiten", cluster.vq.whiten, a.reshape(10, 4))
"""


def dispatches() -> None:
    if tuple(map(int, importlib.metadata.version("scipy").split(".")[:2])) < (1, 16):
        pytest.skip("SciPy asks arrays for their namespace in all of these from 1.16 on")


def test_scipy_dispatches(place: str) -> None:
    dispatches()
    done = python(f"PLACE = {place!r}\n{SCIPY}", SCIPY_ARRAY_API="1").split()
    assert len(done) == SCIPY.count("\ncheck(") + 4 * (place == "cpu")


def test_gradients_pass_through_scipy() -> None:
    dispatches()
    program = """
import wengert as w
from scipy.special import logsumexp
x = w.tensor([0.5, 2.0, -1.0], requires_grad=True)
logsumexp(x).backward()
print(w.allclose(x.grad, w.softmax(x.detach(), 0)))
"""
    assert python(program, SCIPY_ARRAY_API="1") == "True\n"


SKLEARN = """
import numpy as np, sklearn, wengert as w
from sklearn.datasets import make_classification
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge
from sklearn.metrics import accuracy_score, mean_squared_error, r2_score
from sklearn.preprocessing import MinMaxScaler, StandardScaler, MaxAbsScaler

data, labels = make_classification(60, 6, random_state=0)
with sklearn.config_context(array_api_dispatch=True):
    x, y = w.tensor(data, device=PLACE), w.tensor(labels, device=PLACE)
    for made in (StandardScaler, MinMaxScaler, MaxAbsScaler, lambda: PCA(3, svd_solver="full"), lambda: Ridge(solver="svd"), LinearDiscriminantAnalysis):
        mine, theirs = made(), made()
        method = "predict" if hasattr(mine, "predict") else "transform"
        got = getattr(mine.fit(x, y), method)(x)
        expected = getattr(theirs.fit(data, labels), method)(data)
        assert isinstance(got, w.Tensor) and got.device.type == PLACE
        np.testing.assert_allclose(got.numpy(force=True), expected, 1e-7, 1e-9)
        print(type(mine).__name__)
    assert accuracy_score(y, y) == 1.0
    assert abs(r2_score(x[:, 0], x[:, 1]) - r2_score(data[:, 0], data[:, 1])) < 1e-9
    assert abs(mean_squared_error(x[:, 0], x[:, 1]) - mean_squared_error(data[:, 0], data[:, 1])) < 1e-9
    print("metrics")
"""


def test_scikit_learn_dispatches(place: str) -> None:
    pytest.importorskip("sklearn", reason="pip install 'wengert[doors]'")
    said = python(f"PLACE = {place!r}\n{SKLEARN}", SCIPY_ARRAY_API="1").split()
    assert said == ["StandardScaler", "MinMaxScaler", "MaxAbsScaler", "PCA", "Ridge", "LinearDiscriminantAnalysis", "metrics"]
