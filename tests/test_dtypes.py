"""Element types: promotion of every pair, bfloat16, and what making tensors decides about types.

Owns what concerns dtypes beyond single ops. May import: wengert's public API and, in tests marked `parity`, PyTorch.
"""

from __future__ import annotations

import copy
import itertools
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import wengert as w

NAMES = [
    "bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64", "complex64", "complex128",
    "uint16", "uint32", "uint64",
]  # fmt: skip
NUMBERS = (True, 3, 2.5, 1j)


@pytest.fixture
def torch() -> Any:
    found = pytest.importorskip("torch")
    found.set_num_threads(1)
    return found


@pytest.fixture
def ml_dtypes() -> Any:
    return pytest.importorskip("ml_dtypes")


def attempt(function: Callable[..., Any], *args: Any) -> str:
    """Return what a function gives as text, or the name of its exception."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return str(function(*args))
    except Exception as error:
        return type(error).__name__


# ---- promotion
def operands(library: Any) -> list[tuple[str, Any]]:
    """Return a tensor with a dim and one without of each type, and each kind of number."""
    made = []
    for name in NAMES:
        dtype = getattr(library, name)
        made += [(f"{name}[2]", library.ones(2, dtype=dtype)), (f"{name}[]", library.ones((), dtype=dtype))]
    return [*made, *((repr(n), n) for n in NUMBERS)]


@pytest.mark.parity
@pytest.mark.parametrize("default", ["float32", "float64", "bfloat16"])
def test_every_pair_is_promoted_as_torchs(torch: Any, ml_dtypes: Any, default: str) -> None:
    wrong = {}
    for library in (w, torch):
        library.set_default_dtype(getattr(library, default))
    try:
        pairs = zip(itertools.product(operands(w), repeat=2), itertools.product(operands(torch), repeat=2), strict=True)
        for ((a, x), (b, y)), ((_, s), (_, t)) in pairs:
            got, expected = attempt(w.result_type, x, y), attempt(torch.result_type, s, t)
            if got != expected and expected != "torch.complex32" and not only_here(a, b, expected):
                wrong[a, b] = got, expected  # (complex32: NumPy has no complex number of two float16)
        for a, b in itertools.product(NAMES, repeat=2):
            for name in ("promote_types", "can_cast"):
                both = [attempt(getattr(T, name), getattr(T, a), getattr(T, b)) for T in (w, torch)]
                if both[0] != both[1] and not only_here(a, b, both[1]):
                    wrong[name, a, b] = tuple(both)
    finally:
        for library in (w, torch):
            library.set_default_dtype(library.float32)
    assert wrong == {}


@pytest.mark.parity
def test_arithmetic_has_the_promoted_type(torch: Any, ml_dtypes: Any) -> None:
    wrong = {}
    pairs = zip(itertools.product(operands(w), repeat=2), itertools.product(operands(torch), repeat=2), strict=True)
    for ((a, x), (b, y)), ((_, s), (_, t)) in pairs:
        if not (isinstance(x, w.Tensor) or isinstance(y, w.Tensor)) or any("uint" in n and "uint8" not in n for n in (a, b)):
            continue
        for sign, function in (("+", lambda p, q: p + q), ("*", lambda p, q: p * q), ("/", lambda p, q: p / q)):
            got, expected = (attempt(lambda p, q, f=function: f(p, q).dtype, *pair) for pair in ((x, y), (s, t)))
            if got != expected and "complex32" not in expected:
                wrong[a, sign, b] = got, expected
    # PyTorch has no kernels for the complex type of float16, which is complex64 here
    assert {k: v for k, v in wrong.items() if "float16" not in k[0] + k[2] or v[1] != "NotImplementedError"} == {}


HALF = """
ones(3).half() * 0.1 * 65536 * 3 | ones(3).half() / 3e-5 | 65536 * ones(1).half() * 0.1 | ones(2).half().mul_(1e5).div_(1e5)
ones(3).half() * 0.3 * T.tensor(65536.0) | ones(3).bfloat16() * T.tensor(0.1) + 0.1 | ones(3).bfloat16() * 7 % 0.1
nan_to_num(T.tensor([float("inf"), -float("inf")]).bfloat16()) | ldexp(T.tensor([0.1, 1e30]), T.tensor([128, -200]))
isin(T.tensor([0, 1]), 0.5) | isin(T.tensor([1], dtype=T.int8), 1000) | searchsorted(T.tensor([1, 2, 3]), T.tensor([2.5]))
searchsorted(T.tensor([1, 2], dtype=T.uint8), 300) | searchsorted(T.tensor([0.1, 0.2]), 0.1) | zeros(2, dtype=T.bool) - 1
nn.functional.mse_loss(T.tensor([1, 2]), T.ones(2)) | nn.functional.l1_loss(T.tensor([1]), T.tensor([2]))
""".replace("\n", " | ").strip(" |").split(" | ")


@pytest.mark.parity
@pytest.mark.parametrize("call", HALF)
def test_numbers_beside_narrow_types_equal_torchs(torch: Any, ml_dtypes: Any, call: str) -> None:
    got, expected = (attempt(lambda T: repr(eval(f"T.{call}" if call[0].isalpha() else call, {"T": T, "ones": T.ones})), T) for T in (w, torch))
    assert got == expected


def test_the_mean_of_many_halves_has_a_gradient() -> None:
    x = w.ones(100_000, dtype=w.float16, requires_grad=True)
    x.mean().backward()
    assert x.grad is not None and x.grad[0].item() == pytest.approx(1e-5, rel=0.01)


def only_here(a: str, b: str, expected: str) -> bool:
    """Say whether PyTorch refuses a promotion of wide unsigned integers, which wengert takes from the array API standard."""
    return expected == "RuntimeError" and any(n.startswith(("uint16", "uint32", "uint64")) for n in (a, b))


def test_wide_unsigned_types_promote_as_in_the_array_api_standard() -> None:
    names = [n for n in NAMES if "int" in n]
    for a, b in itertools.product(names, repeat=2):
        if "uint64" in (a, b) and not a.startswith("u") == b.startswith("u"):
            with pytest.raises(RuntimeError, match="uint64 with signed integers is not supported, attempted to promote"):
                w.promote_types(getattr(w, a), getattr(w, b))
            with pytest.raises(RuntimeError, match="cast one"):
                w.ones(2, dtype=getattr(w, a)) + w.ones(2, dtype=getattr(w, b))
        else:
            expected = np.promote_types(a, b).name
            assert (w.ones(2, dtype=getattr(w, a)) + w.ones(2, dtype=getattr(w, b))).dtype.name == expected
    assert (w.ones(2, dtype=w.uint64) + 1).dtype is w.uint64
    assert (w.ones(2, dtype=w.uint32) + w.ones(2, dtype=w.bool)).dtype is w.uint32


ROUNDED_ONCE = ("gelu", "silu", "mish", "hardswish", "logsigmoid", "softplus", "elu")


@pytest.mark.parametrize("name", ROUNDED_ONCE)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_gradients_of_halves_are_rounded_once(name: str, dtype: str) -> None:
    kind, f = getattr(w, dtype), getattr(w.nn.functional, name)
    x = w.linspace(-4, 4, 400).to(kind)
    g = w.linspace(-1, 1, 400).sin().to(kind)
    found = [w.autograd.grad(f(v), v, g.to(v.dtype))[0] for v in (x.requires_grad_(), x.detach().float().requires_grad_())]
    step = 2.0**-10 if dtype == "float16" else 2.0**-7
    np.testing.assert_allclose(found[0].float().numpy(), found[1].numpy(), step * 0.51, 1e-7)
    assert found[0].dtype is kind


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves_are_differentiated_again_and_forward_and_compiled(dtype: str) -> None:
    x = w.linspace(-3, 3, 20).to(getattr(w, dtype)).requires_grad_()

    def slopes(x: Any) -> Any:
        first = w.autograd.grad(w.nn.functional.silu(x).sum(), x, create_graph=True)[0]
        return first, w.autograd.grad(first.sum(), x)[0]

    wide = slopes(x.detach().float().requires_grad_())
    step = 2e-3 if dtype == "float16" else 2e-2
    compiled = w.compile(slopes)
    for made in (slopes(x), compiled(x), compiled(x)):
        for a, b in zip(made, wide, strict=True):
            assert a.dtype is x.dtype
            np.testing.assert_allclose(a.detach().float().numpy(), b.detach().numpy(), step, step)
    tangent = w.func.jvp(w.nn.functional.silu, (x.detach(),), (w.ones_like(x),))[1]
    np.testing.assert_allclose(tangent.float().numpy(), wide[0].detach().numpy(), step, step)
    assert compiled.programs


def test_steps_of_float16_kernels_and_of_attention_do_not_round() -> None:
    x = w.linspace(0.25, 4, 512, dtype=w.float16).view(2, 16, 16)
    for f in (w.sigmoid, w.rsqrt, lambda x: w.logaddexp(x, x.flip(0)),
              lambda x: w.nn.functional.scaled_dot_product_attention(x, x.flip(0), x, is_causal=True)):  # fmt: skip
        np.testing.assert_allclose(f(x).float().numpy(), f(x.float()).numpy(), 2.0**-10 * 0.51, 1e-7)


# ---- bfloat16
def run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    return done.stdout + done.stderr.strip().rpartition("\n")[2]


def test_ml_dtypes_is_not_imported_before_it_is_needed() -> None:
    said = run("import sys, wengert as w; x = w.ones(2); print(x.dtype == w.bfloat16, w.bfloat16.itemsize, 'ml_dtypes' in sys.modules)")
    assert said == "False 2 False\n"


def test_without_ml_dtypes_the_error_says_what_to_install() -> None:
    said = run("import sys; sys.modules['ml_dtypes'] = None; import wengert as w; w.ones(2).bfloat16()")
    assert said == "ImportError: bfloat16 needs the package ml_dtypes: pip install 'wengert[bfloat16]'"


def test_bfloat16_is_a_type_like_others(ml_dtypes: Any) -> None:
    x = w.tensor([1.0, 2.5, -0.1], dtype=w.bfloat16)
    assert str(x) == "tensor([ 1.0000,  2.5000, -0.1001], dtype=torch.bfloat16)"
    assert x.type() == "torch.BFloat16Tensor" and x.element_size() == 2 and x.is_floating_point() and not x.is_complex()
    assert x.numpy().dtype == ml_dtypes.bfloat16 and w.from_numpy(x.numpy().view(np.ndarray)).dtype is w.bfloat16
    assert w.tensor(x.numpy()).dtype is w.bfloat16 and w.as_tensor([x[0], x[1]], dtype=w.bfloat16).tolist() == [1, 2.5]
    assert x[1].item() == 2.5 and float(x[0]) == 1.0 and bool(x[0])
    for other in (pickle.loads(pickle.dumps(x)), copy.deepcopy(x), x.clone(), x.float().to(w.bfloat16), x.cpu()):
        assert other.dtype is w.bfloat16 and type(other._array) is type(x._array) and w.equal(other, x)
    for made in (w.zeros(2, dtype=w.bfloat16), w.ones_like(x), w.full((2,), 2, dtype=w.bfloat16), w.arange(3, dtype=w.bfloat16),
                 w.eye(2, dtype=w.bfloat16), w.rand(2, dtype=w.bfloat16), w.randn(2, dtype=w.bfloat16), x.new_zeros(2),
                 w.linspace(0, 1, 3, dtype=w.bfloat16), w.empty(2, dtype=w.bfloat16).normal_()):  # fmt: skip
        assert made.dtype is w.bfloat16 and type(made._array) is type(x._array)
    assert repr(w.finfo(w.bfloat16)) == (
        "finfo(resolution=0.01, min=-3.38953e+38, max=3.38953e+38, eps=0.0078125, smallest_normal=1.17549e-38, "
        "tiny=1.17549e-38, dtype=bfloat16)"
    )


def test_bfloat16_views_share_memory(ml_dtypes: Any) -> None:
    x = w.zeros(2, 3, dtype=w.bfloat16)
    x.t()[1].fill_(2)
    x.view(-1)[5:] = 7
    x[0] += 1
    assert x.tolist() == [[1, 3, 1], [0, 2, 7]] and x[0]._base is x


def test_bfloat16_sums_in_float32(ml_dtypes: Any) -> None:
    x = w.full((1000,), 1.0, dtype=w.bfloat16)  # in bfloat16 itself 256 + 1 is 256
    assert x.sum().item() == 1000 and x.mean().item() == 1 and x.cumsum(0)[-1].item() == 1000
    assert (x @ x).item() == 1000 and (x.reshape(1, -1) @ x.reshape(-1, 1)).item() == 1000


PROGRAMS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "scaled": lambda T, x, y: (x * 0.1 + 2.3) / 7,
    "chain": lambda T, x, y: T.exp(T.sin(x) * y) - y**3,
    "reduced": lambda T, x, y: (x * y).sum(0) / T.sqrt(y.mean()),
    "product": lambda T, x, y: x @ y.t(),
    "softmax": lambda T, x, y: T.softmax(x, 1) * T.log_softmax(y, 0),
    "chosen": lambda T, x, y: T.where(x > y, x, 0.5 * y).cumsum(1),
    "joined": lambda T, x, y: T.cat([x, y]).flip(0)[1:3].tanh(),
    "mixed": lambda T, x, y: x.float() * y + T.tensor(2.0),
    "indexed": lambda T, x, y: x[[0, 0, 2]] * y.amax(1, keepdim=True),
}


@pytest.mark.parity
@pytest.mark.parametrize("name", PROGRAMS)
def test_bfloat16_programs_equal_torch(torch: Any, ml_dtypes: Any, name: str) -> None:
    rng = np.random.default_rng(1)
    values = [rng.uniform(-2, 2, (3, 4)), rng.uniform(0.5, 2, (3, 4))]
    found = []
    for T in (w, torch):
        x, y = (T.tensor(v.tolist(), dtype=T.bfloat16, requires_grad=True) for v in values)
        z = PROGRAMS[name](T, x, y)
        grads = [g for g in T.autograd.grad(z.sum(), (x, y), allow_unused=True) if g is not None]
        found.append([z, *grads])
    for mine, theirs in zip(*found, strict=True):
        assert str(mine.dtype) == str(theirs.dtype)
        a, b = mine.detach().float().numpy(), theirs.detach().float().numpy()
        np.testing.assert_allclose(a, b, 2**-6, 2**-6 * np.abs(b).max())  # two roundings of 2^-8, of terms that may cancel


@pytest.mark.parity
def test_one_bfloat16_op_rounds_as_torchs(torch: Any, ml_dtypes: Any) -> None:
    values = np.random.default_rng(2).uniform(-3, 3, 500)
    x, t = w.tensor(values, dtype=w.bfloat16), torch.tensor(values, dtype=torch.bfloat16)
    for f in (lambda v: v * 0.1, lambda v: v + 1e-3, lambda v: v / 3, lambda v: v * v, lambda v: -v, abs,
              lambda v: v.float().bfloat16(), lambda v: v.double(), lambda v: v.long(), lambda v: v.sum(), lambda v: v < 0.5):  # fmt: skip
        np.testing.assert_array_equal(f(x).float().numpy(), f(t).float().numpy())


def test_bfloat16_trains(ml_dtypes: Any) -> None:
    for optimizer in (w.optim.SGD, w.optim.Adam):
        x = w.tensor([3.0, -2.0], dtype=w.bfloat16, requires_grad=True)
        steps = optimizer([x], lr=0.125)
        for _ in range(60):
            steps.zero_grad()
            ((x - 1) ** 2).sum().backward()
            steps.step()
        assert x.dtype is w.bfloat16 and x.grad is not None and x.grad.dtype is w.bfloat16
        assert (x - 1).abs().max().item() < 0.1  # near 1 the numbers are 2^-7 apart: the last steps round to nothing
    (first,) = w.autograd.grad((x**3).sum(), x, create_graph=True)
    (second,) = w.autograd.grad(first.sum(), x)
    assert second.dtype is w.bfloat16 and second.tolist() == (6 * x).tolist()


# ---- what making a tensor decides
MADE = """
linspace(0, 10, 7, dtype=T.uint8) | linspace(-3, 10, 7, dtype=T.int32) | linspace(0, 1j, 3) | linspace(0, 1, 3, dtype=T.bool)
linspace(T.tensor(4.3), T.tensor(-3), 50, dtype=T.int64) | linspace(T.tensor([1.0]), 1, 3) | linspace(0, 1, -1)
linspace(1 + 1j, 3, 3, dtype=T.float32) | linspace(3, 1, 1) | logspace(0, 1.2, 2, dtype=T.int64) | logspace(0, 2j, 3)
logspace(0, 1, 3, 2.0, dtype=T.float16) | arange(5.0) | arange(True) | arange(T.tensor(5.0, dtype=T.float64))
arange(0, 2, dtype=T.bool) | arange(3, dtype=T.complex64) | arange(float("nan")) | arange(0, float("inf")) | arange(1, 0)
arange(0.5, 4.6, dtype=T.int64) | arange(0.5, 4.6, dtype=T.int32) | arange(0, 5, 1.5, dtype=T.int64) | arange(0, 1, 0)
arange(300, dtype=T.uint8)[-1] | arange(2**62, 2**62 + 2) | arange(5, out=T.empty(0)) | arange(5.0, out=T.empty(0, dtype=T.int64))
full((2,), 1.5, out=T.empty(0, dtype=T.int64)) | full((2,), 1 + 1j) | full((2,), 1 + 1j, dtype=T.float32) | full((2,), 1e40)
full((2,), 300, dtype=T.uint8) | full((2,), -1, dtype=T.uint8) | full((2,), T.tensor(2)) | full(2, 3) | full((2,), 2**63)
full_like(T.zeros(2, dtype=T.int64), 1.5) | full_like(T.zeros(2), 1j) | zeros(2).new_full((1,), 3) | ones(2, dtype=T.uint8).new_full((1,), -2) | scalar_tensor(True)
zeros(2, dtype=T.float64, out=T.empty(5)) | zeros(2, out=T.empty(0, dtype=T.int64)) | zeros() | zeros(-1) | zeros(2.5)
zeros(2, dtype=T.int64, requires_grad=True) | eye(2, out=T.empty(0, dtype=T.int64)) | eye(2, -1) | eye(2, 3, dtype=T.bool)
tensor([300], dtype=T.uint8) | tensor([-1], dtype=T.uint8) | tensor([float("nan")], dtype=T.int64) | tensor([1e40]) | tensor(2**63)
tensor([2**63], dtype=T.float32) | tensor([1j], dtype=T.float32) | tensor([2], dtype=T.bool) | tensor([1e20], dtype=T.int64)
tensor([True, 1.5]) | tensor([[]]) | tensor([[1, 2], [3]]) | scalar_tensor(1j) | range(1, 2, 0.25) | range(5, 1)
empty_strided((2, 3), (1, 2)).stride() | empty_strided((2, 3), (1,)) | empty_permuted((2, 3, 5), (1, 0, 2)).stride()
empty_permuted((2, 3), (0, 0)) | zeros(2).new_empty_strided((2, 3), (1, 2)).stride() | vander(T.tensor([1.0, 2, 3]))
vander(T.tensor([1, 2, 3]), 2, increasing=True) | vander(T.zeros(2, 2)) | is_nonzero(T.ones(1)) | is_nonzero(T.ones(2))
asarray([1, 2.0]) | asarray(T.ones(2), copy=True, requires_grad=True) | asarray(bytearray(b"abcd"), dtype=T.uint8)
frombuffer(bytearray(8), dtype=T.float32, count=1, offset=4) | frombuffer(bytearray(8), dtype=T.float32, offset=3)
frombuffer(bytearray(), dtype=T.float32) | frombuffer(bytearray(4), dtype=T.uint8, count=9) | frombuffer([1], dtype=T.uint8)
from_dlpack(T.ones(2)) | ones(2).to(T.float64, copy=True) | ones(2).to("cpu", T.int64) | ones(2).to(T.ones(1, dtype=T.int16))
ones(2).to(T.int64, False, True) | ones(2, dtype=T.complex64).type() | ones(2).type(T.LongTensor) | tensor([1 + 2j]).to(T.float32)
ones(2).item() | ones(0).item() | ones(1, 1).item() | finfo(T.float16) | finfo(T.complex64) | finfo(T.int64) | iinfo(T.int8)
""".replace("\n", " | ").strip(" |").split(" | ")


@pytest.mark.parity
@pytest.mark.parametrize("call", MADE)
def test_made_tensors_equal_torchs(torch: Any, call: str) -> None:
    got, expected = (attempt(lambda T: repr(eval(f"T.{call}", {"T": T})), T) for T in (w, torch))
    assert got == expected


def test_a_copy_is_made_where_asked_for() -> None:
    x = w.ones(3)
    for same in (x.to(w.float32), x.to("cpu"), w.asarray(x), w.as_tensor(x.numpy()), w.from_dlpack(x)):
        assert same.data_ptr() == x.data_ptr()
    for other in (x.to(w.float32, False, True), x.to(x, copy=True), w.asarray(x, copy=True), w.tensor(x.numpy())):
        assert other.data_ptr() != x.data_ptr()
    with pytest.raises(ValueError, match="alias"):
        w.asarray([1.0], copy=False)
    memory = bytearray(8)
    shared = w.frombuffer(memory, dtype=w.uint8)
    shared[3] = 9
    assert memory[3] == 9


def test_whatever_comes_in_has_the_dtype_that_quick_calls_look_for() -> None:
    """Equal is not enough: calls compare by `is`, and one dtype that was unpickled makes each op after it a slow one."""
    native = np.dtype(np.float32)
    unpickled = pickle.loads(pickle.dumps(np.ones(3, np.float32)))
    turned = np.ones(3, ">f4")
    assert unpickled.dtype is not native
    x = w.from_numpy(unpickled)
    unpickled[0] = 7
    assert x.tolist() == [7, 1, 1]  # still its memory
    for made in (x, w.tensor(unpickled), w.as_tensor(unpickled), w.tensor(turned), pickle.loads(pickle.dumps(x))):
        assert made._array.dtype is native and (made * 2)._array.dtype is native
    (batch,) = next(iter(w.utils.data.DataLoader([(w.ones(3),)] * 4, batch_size=2, num_workers=1)))
    assert batch._array.dtype is native
