"""The Tensor as an object: its attributes, the protocols of Python and NumPy it speaks, copies and pickles.

Owns the proof of wengert/_tensor.py. Every program runs on wengert; what it returns is compared with what PyTorch returned
(tests/recorded/), and under `parity` with what PyTorch returns now.
May import wengert's public names, tests/programs.py and, in tests marked `parity`, torch.
"""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import numpy as np
import pytest

import wengert
from programs import Programs, error

PROGRAMS = program = Programs("test_tensor")


def leaf(torch: Any, *values: Any) -> Any:
    return torch.tensor(list(values) if len(values) != 1 else values[0], dtype=torch.float64, requires_grad=True)


# ---- what it is
@program
def shapes_and_sizes(torch: Any) -> Any:
    x = torch.zeros(2, 3, 4)
    s = x.shape
    return (
        tuple(s), repr(s), s.numel(), tuple(s[1:]), type(s[1:]) is type(s), type(s + (5,)) is type(s), s == (2, 3, 4),
        tuple(x.size()),
        x.size(1), x.size(-1), x.dim(), x.ndim, x.ndimension(), x.numel(), x.nelement(), x.element_size(), x.itemsize,
        x.nbytes,
        len(x), error(lambda: x.size(3)), isinstance(s, torch.Size), isinstance(s, tuple), tuple(torch.Size([1, 2])),
        x.shape[0] * 2, [n for n in x.shape], torch.zeros(()).shape == (), torch.Size() == torch.zeros(()).shape,
    )  # fmt: skip


@program
def kinds(torch: Any) -> Any:
    names = ("float32", "float64", "float16", "int64", "int32", "uint8", "bool", "complex64")
    tensors = [torch.ones(2, dtype=getattr(torch, n)) for n in names]
    return [
        (t.dtype, t.is_floating_point(), t.is_complex(), t.is_signed(), t.element_size(), t.dtype.is_floating_point, t.type())
        for t in tensors
        if not t.is_complex() or True
    ][:-1]


@program
def where_it_is(torch: Any) -> Any:
    x = torch.zeros(2)
    d = x.device
    return (
        str(d), d.type, d.index, repr(d), d == torch.device("cpu"), x.is_cuda, x.is_cpu, x.get_device(),
        x.to("cpu") is x,
        x.cpu() is x, str(torch.zeros(2, device="cpu").device), hash(d) == hash(torch.device("cpu")), x.is_sparse,
        x.is_quantized,
        error(lambda: torch.device("nowhere")), error(lambda: torch.zeros(2, device="nowhere")),
        error(lambda: x.to("nowhere")),
        error(lambda: torch.device("cpu:x")),
    )  # fmt: skip


@program
def attributes_of_the_users(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    x.note = "mine"
    return x.note, hasattr(x, "other"), hasattr(x * 1, "note"), hasattr(x.detach(), "note"), error(lambda: x.nothing)


# ---- numbers
@program
def numbers_out(torch: Any) -> Any:
    f, n, b = torch.tensor(2.5), torch.tensor([[7]]), torch.tensor([True])
    v = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    return (
        f.item(), n.item(), b.item(), type(f.item()).__name__, type(n.item()).__name__, type(b.item()).__name__,
        v.tolist(),
        f.tolist(), torch.zeros(0).tolist(), torch.zeros(2, 0).tolist(), n.tolist(), float(f), int(n), int(f),
        bool(b), bool(f),
        complex(f) == 2.5, error(v.item), error(lambda: float(v)), error(lambda: int(v)),
        error(lambda: torch.zeros(0).item()),
        leaf(torch, 1.5).item(), leaf(torch, 1.0, 2.0).tolist(), round(float(f)), float(leaf(torch, 2.0)),
        int(torch.tensor(-2.7)),
    )  # fmt: skip


@program
def truth(torch: Any) -> Any:
    return (
        bool(torch.tensor(0.0)), bool(torch.tensor([[3]])), bool(torch.tensor(float("nan"))), not torch.tensor(0),
        error(lambda: bool(torch.zeros(2))), error(lambda: bool(torch.zeros(0))), error(lambda: not torch.ones(2)),
        "yes" if torch.tensor(1.0) > 0 else "no", error(lambda: torch.ones(2) and True), bool(leaf(torch, 1.0)),
    )  # fmt: skip


@program
def indices(torch: Any) -> Any:
    items = ["a", "b", "c"]
    return (
        items[torch.tensor(1)], items[torch.tensor([2])], list(range(torch.tensor(3))),
        error(lambda: items[torch.tensor(1.0)]),
        error(lambda: items[torch.tensor([1, 2])]), items[torch.tensor(True)], "x" * torch.tensor(2),
        error(lambda: hex(torch.tensor(0.5))),
        hex(torch.tensor(17)), items[: torch.tensor(2)], error(lambda: range(torch.tensor(2.0))),
    )  # fmt: skip


@program
def formats(torch: Any) -> Any:
    f, v = torch.tensor(2.5), torch.tensor([1.0, 2.0])
    return (
        f"{f}", f"{f:.3f}", f"{f:>8}", f"{torch.tensor(3):04d}", f"{leaf(torch, 1.25):.1f}", f"{v}",
        error(lambda: f"{v:.2f}"),
        f"{torch.tensor(True)}", "%.2f" % f, "%d" % torch.tensor(7),  # noqa: UP031
         str(v), repr(v), f"{torch.tensor(12345.0):.1e}",
    )  # fmt: skip


# ---- sequences
@program
def lengths_and_iteration(torch: Any) -> Any:
    x = leaf(torch, [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    rows = list(x)
    a, b, c = x
    (a * b).sum().backward()
    return (
        len(x), len(rows), rows[1], [r.requires_grad for r in rows], x.grad, error(lambda: len(torch.tensor(1.0))),
        error(lambda: list(torch.tensor(1.0))), list(torch.zeros(0)), [t.item() for t in torch.arange(3)],
        [tuple(t.shape) for t in torch.zeros(2, 0)],
        list(zip(torch.arange(2), "ab", strict=True)), sum(torch.arange(4)), max(torch.tensor([1, 5, 2])),
        sorted(torch.tensor([3, 1, 2])),
        list(reversed(torch.arange(3))), [i for i, _ in enumerate(torch.zeros(2))], rows[0].grad_fn.name(),
    )  # fmt: skip


@program
def membership(torch: Any) -> Any:
    x = torch.tensor([[1, 2], [3, 4]])
    return 3 in x, 7 in x, torch.tensor(4) in x, 2.0 in x, error(lambda: "a" in x), error(lambda: None in x), x[0] in x


@program
def equality(torch: Any) -> Any:
    x = torch.tensor([1.0, 2.0])
    return (
        x == 1, x != 1, x == x, x == None, x != None, x == "a", x != "a", x == [1, 2], x == (1, 2), None == x, x is None, x == object(),  # noqa: E711
        error(lambda: x < None), error(lambda: x < "a"), x == torch.tensor([1, 3]),
        error(lambda: x == torch.zeros(3)), x.equal(x.clone()),
        [t is x for t in [x, x.clone()]], x in [x], torch.equal(x, torch.tensor([1.0, 2.0])),
        torch.equal(x, torch.zeros(3)),
    )  # fmt: skip


@program
def hashing(torch: Any) -> Any:
    x, y = torch.ones(2), torch.ones(2)
    table = {x: "x", y: "y"}
    return table[x], table[y], len({x, y, x}), hash(x) == hash(x), x.clone() in table, torch.zeros(2) in table


@program
def operators_with_strangers(torch: Any) -> Any:
    x = torch.tensor([1.0, 2.0])

    class Mine:
        def __radd__(self, other: Any) -> str:
            return "radd"

        def __rmatmul__(self, other: Any) -> str:
            return "rmatmul"

        def __rtruediv__(self, other: Any) -> str:
            return "rtruediv"

    return (
        x + Mine(), x / Mine(), error(lambda: x + "a"), error(lambda: x * None), error(lambda: "a" + x),
        error(lambda: x - [1, 2]),
        error(lambda: x @ 2), error(lambda: x + object()), error(lambda: [1, 2] + x), error(lambda: x % None),
    )  # fmt: skip


# ---- NumPy
@program
def numpy_shares_memory(torch: Any) -> Any:
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    a = x.numpy()
    a[0, 0] = 50
    x[1, 1] = 60
    row = x[1].numpy()
    row += 1
    t = x.t().numpy()
    return x, a, isinstance(a, np.ndarray), t, np.shares_memory(t, a), t.strides == a.T.strides


@program
def from_numpy_shares_memory(torch: Any) -> Any:
    a = np.arange(6, dtype=np.float64).reshape(2, 3)
    x = torch.from_numpy(a)
    x[0] = 9
    a[1, 1] = 7
    v = torch.from_numpy(a[:, ::2])
    v.mul_(2)
    return (
        x, a, v, x.is_leaf, x.requires_grad, torch.as_tensor(a).data_ptr() == x.data_ptr(),
        torch.tensor(a).data_ptr() == x.data_ptr(),
        error(lambda: torch.from_numpy([1, 2])), error(lambda: torch.from_numpy(np.array(["a"]))),
        error(lambda: torch.from_numpy(a[::-1])),
        [torch.from_numpy(np.zeros(2, t)).dtype for t in ("f4", "f8", "i4", "i8", "u1", "?", "c8", "f2")],
    )  # fmt: skip


@program
def a_leaf_on_numpy_memory(torch: Any) -> Any:
    a = np.array([1.0, 2.0])
    x = torch.from_numpy(a).requires_grad_()
    (x * x).sum().backward()
    with torch.no_grad():
        x -= 0.5 * x.grad
    return a, x.grad


@program
def numpy_of_what_requires_grad(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y = x * 2
    with torch.no_grad():
        seen = x.numpy(), y.numpy(), np.asarray(y)
    return (
        *seen, error(x.numpy), error(y.numpy), error(lambda: np.asarray(x)), error(lambda: np.array(y)), x.detach().numpy(),
        y.detach().numpy(), y.numpy(force=True), x.data.numpy(), error(lambda: np.array([x, x])),
    )  # fmt: skip


@program
def asarray(torch: Any) -> Any:
    x = torch.tensor([1.0, 2.0])
    a = np.asarray(x)
    b = np.array(x)
    a[0] = 7
    return x, a, b, np.asarray(x, dtype="f8"), np.asarray(torch.tensor(3))


def test_arrays_on_either_side_give_tensors() -> None:
    """A NumPy array next to a tensor is a constant: `ndarray * tensor` is a Tensor with its gradient, not an array."""
    a, x = np.array([1.0, 2.0]), leaf(wengert, 3.0, 4.0)
    h = np.float64(2)
    results = [a * x, a + x, a - x, a / x, x * a, x + a, x - a, x / a, h * x, x * h, x - h, h - x, h / x, x**h, np.int64(3) * x]
    expected = [[3, 8], [4, 6], [-2, -2], [1 / 3, 1 / 2], [3, 8], [4, 6], [2, 2], [3, 2], [6, 8], [6, 8], [1, 2], [-1, -2],
                [2 / 3, 1 / 2], [9, 16], [9, 12]]  # fmt: skip
    for y, values in zip(results, expected, strict=True):
        assert isinstance(y, wengert.Tensor) and y.requires_grad and y.dtype is wengert.float64
        np.testing.assert_allclose(y.tolist(), values)
    sum(results[:4], start=wengert.zeros(())).sum().backward()
    np.testing.assert_allclose(x.grad.tolist(), a - a / np.array([9.0, 16.0]))
    compared = [a < x, a == x, x > h, h < x, a != x]
    assert [type(c) for c in compared] == [wengert.Tensor] * 5
    assert [c.tolist() for c in compared] == [[True, True], [False, False], [True, True], [True, True], [True, True]]


def test_numpys_functions_keep_the_gradient() -> None:
    """A function of NumPy that has a record is that op; on what else there is, no gradient is dropped."""
    x = leaf(wengert, 1.0, 4.0)
    y = np.sqrt(x) * np.array([2.0, 3.0]) + np.add(np.ones(2), np.exp(x)) + np.maximum(x, 2.0)  # type: ignore[call-overload]
    y.sum().backward()
    np.testing.assert_allclose(x.grad.tolist(), np.array([1.0, 0.75]) + np.exp([1.0, 4.0]) + [0.0, 1.0])
    for act in (lambda: np.frexp(x), lambda: np.add.reduce(x), lambda: np.sqrt(x, where=[True, False])):  # type: ignore[call-overload]
        with pytest.raises(RuntimeError, match=r"requires grad"):
            act()


def test_numpys_functions_on_values() -> None:
    t, array = wengert.tensor([1.0, 4.0]), np.array([1.0, 2.0])
    assert [v.tolist() for v in np.frexp(t)] == [[0.5, 0.5], [1, 3]] and np.add.reduce(t).item() == 5.0  # type: ignore[call-overload]
    assert np.isnan(t).tolist() == [False, False] and (array < t).tolist() == [False, True]  # type: ignore[call-overload]
    array -= t
    assert array.tolist() == [0.0, -2.0] and np.add(t, t, out=array) is array and array.tolist() == [2.0, 8.0]  # type: ignore[call-overload]
    with pytest.raises(RuntimeError, match="requires grad"):
        array -= t.clone().requires_grad_()
    with pytest.raises(TypeError, match="in-place"):
        np.add(array, array, out=t)  # type: ignore[call-overload]
    assert array.tolist() == [2.0, 8.0] and t.tolist() == [1.0, 4.0]


def test_numpy_matmul_gives_a_tensor() -> None:
    m, x = np.eye(2) * 3, leaf(wengert, 1.0, 2.0)
    y = m @ x
    assert isinstance(y, wengert.Tensor) and y.requires_grad
    y.sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]


# ---- copies and pickles
@program
def deep_copies_lie_as_what_they_are_copies_of(torch: Any) -> Any:
    x = torch.arange(12.0).reshape(3, 4)
    pair = copy.deepcopy([x[1:, 2:].t(), x, x.detach()])
    pair[1].mul_(-1)
    alone = copy.deepcopy(x.t()), copy.deepcopy(x[:, ::2]), copy.deepcopy(torch.ones(1).expand(3)), copy.deepcopy(x[:0])
    return pair, x, [t.stride() for t in (*pair, *alone)], alone


@program
def deep_copies(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    (x * x).sum().backward()
    x.note = "mine"
    y = copy.deepcopy(x)
    both = copy.deepcopy([x, x])
    with torch.no_grad():
        y.add_(10)
        y.grad.zero_()
    z = x * 2
    (y * 3).sum().backward()
    return (
        x,
        x.grad,
        y,
        y.grad,
        y.note,
        y.is_leaf,
        both[0] is both[1],
        error(lambda: copy.deepcopy(z)),
        copy.deepcopy(z.detach()),
        copy.deepcopy(x[:1].detach()),
    )


@program
def shallow_copies(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    (x * x).sum().backward()
    x.note = "mine"
    y, z = copy.copy(x), copy.copy(x * 2)
    with torch.no_grad():
        x[0] = 9
    (y * 3).sum().backward()
    return y, y is x, y.is_leaf, y.note, x.grad, y.grad, z, z.is_leaf


@program
def pickles(torch: Any) -> Any:
    x = leaf(torch, [[1.0, 2.0], [3.0, 4.0]])
    (x * x).sum().backward()
    x.note = "mine"
    values = [
        x,
        x.t().detach(),
        torch.tensor(3),
        torch.zeros(0, 2),
        torch.tensor([True]),
        (x * 2)[0],
        torch.ones(2, dtype=torch.float16),
    ]
    back = pickle.loads(pickle.dumps(values))
    return back, back[0].grad, back[0].note, back[5].is_leaf, [b is v for b, v in zip(back, values, strict=True)]


@program
def pickled_names(torch: Any) -> Any:
    values = [torch.float64, torch.device("cpu"), torch.Size([2, 3])]
    back = pickle.loads(pickle.dumps(values))
    return [b == v for b, v in zip(back, values, strict=True)], back[0] is torch.float64, copy.copy(torch.int64) is torch.int64


# ---- printing
@program
def prints(torch: Any) -> Any:
    x = torch.tensor([1.0, 2.5], requires_grad=True)
    d = leaf(torch, 1.0, 2.0)
    c = torch.zeros(2, 2)
    c[0] = x.detach() * x
    return [
        repr(v)
        for v in (
            x, x * 2, d, d.exp(), x.detach(), torch.tensor(1.0), torch.tensor(3), torch.tensor([True, False]),
            torch.zeros(0), torch.zeros(2, 0),
            torch.tensor([1, 2], dtype=torch.int32), torch.tensor(1.0, requires_grad=True), x.sum(),
            torch.zeros(2, dtype=torch.float16), c,
            x.view(2, 1), x.data, torch.tensor([float("nan"), float("inf")]), torch.float32, torch.Size([2, 3]), x[0],
            x.unsqueeze(0).expand(2, 2),
        )
    ]  # fmt: skip


@program
def prints_of_graphs(torch: Any) -> Any:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    y[0] = 5
    x.grad = torch.ones(2)
    return repr(y), repr(x.grad), repr(y.grad_fn).split(" object")[0], y.grad_fn.name().split("::")[-1], repr([x.detach()])


# ---- flags
@program
def new_tensors_from_tensors(torch: Any) -> Any:
    import warnings

    x = leaf(torch, 1.0, 2.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        y = torch.tensor(x)
    a = torch.as_tensor(x)
    return (
        y,
        a is x,
        torch.zeros_like(x),
        torch.ones_like(x, requires_grad=True),
        x.new_zeros(3),
        x.new_tensor([1, 2]),
        x.new_ones((1, 2)),
    )


@program
def from_nested_tensors(torch: Any) -> Any:
    parts = [torch.tensor(1.0), torch.tensor(2.0)]
    return (
        torch.tensor(parts),
        torch.tensor([[1, 2], [3, 4]]),
        torch.tensor([]),
        torch.tensor([1, 2.5]),
        torch.tensor([True, 2]),
        torch.tensor(()),
    )


@program
def a_list_of_indices_may_stand_for_a_tuple(torch: Any) -> Any:
    x = torch.arange(12.0).reshape(3, 4)
    keys = [[0, 1], [1, 0]], [..., 1], [None], [slice(1), [0, 2]], [range(2), 1], [[0, 1]], [torch.tensor([2]), torch.tensor([3])]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [x[list(key)] for key in keys]
    mask, y = [True, False, True], torch.zeros(3)
    y[mask] = torch.tensor([[1.0, 2.0]])
    return found, x[[0, 1]], y, [error(lambda m=m: m - torch.tensor([1.0])) for m in (torch.tensor([True]), torch.tensor([1]))]


@program
def subclassing_data(torch: Any) -> Any:
    x = torch.tensor([1.0, 2.0])
    return (
        isinstance(x, torch.Tensor),
        torch.is_tensor(x),
        torch.is_tensor([1]),
        type(x).__name__,
        isinstance(x * 2, torch.Tensor),
    )


@program
def ranges_by_one_bound_or_two(torch: Any) -> Any:
    like = torch.zeros(2, 3)
    drawn = (
        torch.randint(9, size=(2,)), torch.randint(high=9, size=(2,)), torch.randint(9, (2,)), torch.randint(2, 9, (2,)),
        torch.randint(low=2, high=9, size=[2]), torch.randint_like(like, high=9), torch.randint_like(like, 2, 9),
    )  # fmt: skip
    return (
        [(x.dtype, tuple(x.shape), bool((0 <= x).all() and (x < 9).all())) for x in drawn], torch.arange(end=3),
        torch.arange(start=1, end=3), error(lambda: torch.randint(size=(2,))), error(torch.arange),
    )  # fmt: skip


@program
def tensors_that_change_places(torch: Any) -> Any:
    layer = torch.nn.Linear(2, 1, bias=False)
    held, other = layer.weight, torch.nn.Parameter(torch.full((1, 2), 2.0))
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.5)
    torch.utils.swap_tensors(held, other)
    layer(torch.tensor([[1.0, 3.0]])).sum().backward()
    optimizer.step()
    return held is layer.weight, held, held.grad, other.grad


@program
def bits_of_floats(torch: Any) -> Any:
    x = torch.ones(2)
    return error(lambda: ~x), error(lambda: torch.bitwise_not(x)), ~torch.tensor([True, False]), ~torch.tensor(5)


@program
def dtypes_of_mixed_data(torch: Any) -> Any:
    f64, half, one = np.float64(2), np.float16(1), np.array([1.0, 2.0])
    given = (
        [1.0, f64], [1, f64], [np.float32(1), 2.0], [True, np.int32(1)], [half, np.float32(2)], [[3, 4], one],
        [np.float32(3), 1], [2.0, torch.tensor(1.0, dtype=torch.float64)], [torch.tensor([1]), torch.tensor([2])], [[], []],
        [torch.tensor([1.5]), torch.tensor(2)], [[2**64, 1.5]], range(2), [range(2), range(2)],
    )  # fmt: skip
    large = torch.tensor([2**64, 1], dtype=torch.float32), torch.tensor([2**70, 0], dtype=torch.bool)
    return [torch.tensor(x) for x in given], large, str(torch.tensor([np.complex64(1), 2.0]).dtype)


@program
def ranges_keep_the_shape_of_out(torch: Any) -> Any:
    x, y, z = torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(2, 2)
    torch.arange(0, 4, out=x.narrow(1, 1, 2))
    torch.linspace(0, 3, 4, out=y[:, :2])
    return x, y, torch.arange(5.0, out=z), torch.cat([torch.zeros(0), torch.zeros(0)], dim=1)


@program
def names_of_types_and_layouts(torch: Any) -> Any:
    torch.set_default_tensor_type("torch.DoubleTensor")
    made = torch.zeros(1)
    torch.set_default_tensor_type(torch.FloatTensor)
    layouts = made.layout is torch.strided, made.to_sparse().layout is torch.sparse_coo
    return made, torch.zeros(1), layouts, torch.FloatTensor([1, 2], device="cpu"), torch.zeros(1).new(size=(2, 1)).shape


@program
def operators_ask_what_they_do_not_know(torch: Any) -> Any:
    class Other:
        __rmatmul__ = __matmul__ = __rpow__ = __pow__ = lambda self, x: "asked"

    x, other = torch.ones(2), Other()
    refused = error(lambda: x @ "a"), error(lambda: x ** [1]), error(lambda: x @ 3), error(lambda: 3 @ x)
    return x @ other, other @ x, x**other, other**x, refused


@program
def products_in_old_orders(torch: Any) -> Any:
    a, v, b = torch.arange(4.0).reshape(2, 2), torch.arange(2.0), torch.arange(8.0).reshape(2, 2, 2)
    functions = torch.addmm(2, a, 3, a, a), torch.addmv(2, v, 3, a, v), torch.addbmm(2, a, b, b), torch.baddbmm(2, b, 3, b, b)
    return *functions, a.addmm(2, a, a), a.clone().addmm_(2, 3, a, a), a.addr(2, v, v), error(lambda: a.addmm(a, a, 2))


@program
def memory_as_values(torch: Any) -> Any:
    x = torch.arange(3.0)
    x.storage()[1] = 7
    copied = torch.tensor(x.storage()).tolist()
    sizes = x.storage().element_size(), len(x.untyped_storage().tolist()), list(x.storage())
    x.grad = torch.ones(3)
    both = copy.deepcopy([x, x.grad])
    return copied, sizes, x.storage().fill_(2).tolist(), x, both[0].grad is both[1]


@program
def numpys_words_for_dims(torch: Any) -> Any:
    x = torch.arange(6.0).reshape(2, 3)
    i = torch.tensor([[1], [0]])
    y = torch.tensor([[1, 2], [1, 2], [3, 0]])
    return (
        x.median(axis=1).values, x.cumprod(axis=1), x.logcumsumexp(axis=0), x.nansum(axis=1), torch.var_mean(x, axis=1, keepdims=True),
        torch.std_mean(x, axis=0), torch.gather(x, axis=1, index=i), torch.repeat_interleave(x, 2, axis=0),
        torch.quantile(x, 0.5, axis=1), torch.trapz(x, axis=1), torch.diff(x, axis=0), [p.shape for p in torch.tensor_split(x, 3, axis=1)],
        torch.unique_consecutive(y, dim=0), x.cummax(axis=1).indices, torch.median(x, axis=0).values, torch.nansum(a=x),
        error(lambda: torch.cumprod(x, axes=1)), error(lambda: torch.cumprod(x, axis=5)), error(lambda: torch.cumprod(x, dim=0, axis=1)),
    )  # fmt: skip


@program
def integers_of_numpy(torch: Any) -> Any:
    n, F, x = np.int64, torch.nn.functional, torch.arange(12.0).reshape(3, 4)
    image, three = x[None, None], torch.tensor(3)
    return (
        F.avg_pool2d(image, n(2)), F.max_pool2d(image, n(2), n(1), n(1)).shape, F.max_pool2d(image, np.int32(2)),
        F.conv2d(image, torch.ones(1, 1, 2, 2), stride=n(1), padding=n(1), dilation=n(1)).shape, F.adaptive_avg_pool1d(x, n(2)),
        F.unfold(image, n(2)).shape, F.fold(torch.ones(1, 4, 4), n(3), n(2)),
        F.conv_transpose1d(x[None], torch.ones(3, 1, 2), stride=n(2), output_padding=n(1)).shape,
        torch.roll(x, n(1)), torch.roll(x, n(1), n(1)), x.movedim(n(0), n(1)).shape, torch.fft.fftn(x, dim=n(0)).shape,
        torch.fft.fftshift(x, n(1)), x.repeat_interleave(n(2), dim=n(0)).shape, [p.shape for p in x.tensor_split(n(2), n(1))],
        [p.shape for p in torch.hsplit(x, n(2))], [p.shape for p in torch.chunk(x, n(2), n(1))], torch.randperm(n(3)).sort()[0],
        x.squeeze(np.int32(0)).shape, x.any(n(0)), torch.tensordot(x, x, dims=([n(1)], [n(1)])), torch.broadcast_to(x, (n(2), n(3), n(4))).shape,
        [p.shape for p in x.split(three)], [p.shape for p in x.chunk(three, 1)], F.max_pool2d(image, three), torch.roll(x, three),
        x.add(x, alpha=torch.tensor(2.0)), x.sub(1, alpha=three), error(lambda: x.add(x, alpha=torch.tensor(2.0, requires_grad=True))),
        error(lambda: F.avg_pool2d(image, 2.0)),
    )  # fmt: skip


@program
def legacy_constructors_of_sizes_and_data(torch: Any) -> Any:
    makes = (torch.Tensor, torch.LongTensor, torch.zeros(1).new)
    sizes = ((np.int64(3),), (np.int64(3), 2), (np.prod((2, 2)),), (np.array(3),), (), (torch.Size([2, 3]),), (torch.tensor(2), 3))
    data = ([3], np.array([2, 3]), (2, 3), range(3))
    return (
        [[tuple(make(*given).shape) for given in sizes] for make in makes], [[make(given) for given in data] for make in makes],
        [[error(lambda make=make, given=given: make(given)) for given in (3.0, True, None, np.float32(3))] for make in makes],
        str(torch.zeros(1).bfloat16().new([1.5]).dtype), torch.zeros(1).new(size=(2, 3)).shape,
    )  # fmt: skip


@program
def numpys_functions_give_tensors(torch: Any) -> Any:
    x = torch.arange(6.0).reshape(2, 3)
    return np.transpose(x), np.transpose(x, (1, 0)), np.reshape(x, -1), np.repeat(x, 2, axis=0), np.take(x, [0, 1]), np.cumsum(x)


@program
def what_is_expanded_is_cast_row_by_row(torch: Any) -> Any:
    x = torch.arange(3).view(1, 3).expand(2, 3)
    y = torch.arange(2).view(2, 1, 1).expand(2, 4, 3).permute(2, 0, 1)
    return [z.stride() for z in (x.float(), x.double(), x.type_as(torch.ones(1)), y.float(), x.t().float())], x.float().view(6)


@program
def where_takes_bytes_for_a_condition(torch: Any) -> Any:
    mask = torch.tensor([1, 0, 1], dtype=torch.uint8)
    refused = error(lambda: torch.where(mask.long(), 1.0, 2.0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.where(mask, torch.ones(3), torch.zeros(3)), torch.ones(3).where(mask, torch.zeros(3)), refused


@program
def attributes_are_the_programs_own(torch: Any) -> Any:
    x, y = torch.ones(2, requires_grad=True), torch.zeros(3)
    x.tag, before = [1], dict(x.__dict__)
    y.__dict__ = x.__dict__.copy()
    shared = y.tag is x.tag
    z = x * 2
    z.__dict__.update(y.__dict__)
    own = z.__dict__
    own["more"] = 3
    seen = z.more, "more" in vars(z), own.pop("tag"), hasattr(z, "tag"), own.setdefault("more", 4), own.setdefault("other", 5), z.other
    own.clear()
    twin, leaf, shallow = copy.deepcopy(x), torch.nn.Parameter(torch.ones(1)), copy.copy(x)
    leaf.tag = 1
    return (
        before, shared, y, z, seen, z.__dict__, z.requires_grad, isinstance(own, dict), twin.tag, twin.tag is x.tag, shallow.tag is x.tag,
        leaf.__dict__, copy.deepcopy(leaf).__dict__, pickle.loads(pickle.dumps(y)).__dict__, copy.deepcopy(x.__dict__),
    )  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name: str) -> None:
    assert PROGRAMS.compare(name, wengert) == []


@pytest.mark.parity
@pytest.mark.parametrize("name", PROGRAMS)
def test_program_against_torch(name: str) -> None:
    assert PROGRAMS.compare_live(name, wengert, pytest.importorskip("torch")) == []


def test_dlpack_shares_memory_with_other_libraries() -> None:
    from wengert.utils.dlpack import from_dlpack, to_dlpack

    x = wengert.arange(6.0).reshape(2, 3)
    assert tuple(x.__dlpack_device__()) == (1, 0)
    theirs = np.from_dlpack(x.t())
    assert theirs.shape == (3, 2) and np.shares_memory(theirs, x.numpy())
    host = np.arange(4, dtype=np.int16)
    mine = wengert.from_dlpack(host)
    mine[0] = 7
    assert mine.dtype == wengert.int16 and host[0] == 7
    capsule = to_dlpack(x)
    again = from_dlpack(capsule)
    again[0, 0] = 9.0
    assert x[0, 0] == 9.0 and again._version == 1
    with pytest.raises(RuntimeError, match="only once"):
        from_dlpack(capsule)
    copied = wengert.from_dlpack(host, copy=True)
    copied.zero_()
    assert host[0] == 7 and wengert.from_dlpack(x).data_ptr() == x.data_ptr()


def test_dlpack_refuses_what_it_cannot_say() -> None:
    leaf = wengert.ones(2, requires_grad=True)
    narrow = wengert.ones(2, dtype=wengert.bfloat16)
    for refused in (leaf.__dlpack__, lambda: wengert.from_dlpack(leaf), lambda: np.from_dlpack(narrow)):
        with pytest.raises(BufferError):
            refused()
    assert tuple(leaf.__dlpack_device__()) == (1, 0)
    with pytest.raises(AssertionError, match="stream"):
        wengert.ones(2).__dlpack__(stream=1)
    with pytest.raises(RuntimeError, match="list"):
        wengert.from_dlpack([1.0])


def test_shapes_stay_shapes_and_a_tensor_is_reversed_as_one() -> None:
    for made, wanted in ((wengert.Size([1]) * 2, [1, 1]), (2 * wengert.Size([3]), [3, 3]), ((2,) + wengert.Size([1]), [2, 1])):  # noqa: RUF005
        assert type(made) is wengert.Size and list(made) == wanted
    assert [*map(type, wengert.Size([wengert.tensor(3), np.int64(2), 1]))] == [int] * 3
    for wrong in ((2.0,), ("a",), (wengert.tensor(1.5),)):
        with pytest.raises(TypeError, match=r"integer|torch.Size\(\) takes an iterable of 'int' \(item 0 is"):
            wengert.Size(wrong)
    assert reversed(wengert.arange(3)).tolist() == [2, 1, 0] and reversed(wengert.tensor(4)).item() == 4


def test_functions_results_and_generators_are_pickled() -> None:
    functional, f = wengert.nn.functional, wengert
    for function in (f.abs, f.absolute, f.addmm, f.zeros, f.randn, f.tanh_, f.linalg.norm, f.fft.fft, functional.relu, f.masked.sum):
        assert pickle.loads(pickle.dumps(function)) is function
    pair, solved = wengert.eye(2).max(0), wengert.linalg.svd(wengert.eye(2))
    for result in (pair, solved, wengert.sort(wengert.ones(2))):
        again = pickle.loads(pickle.dumps(result))
        assert type(again) is type(result) and repr(again) == repr(result)
    generator = wengert.Generator().manual_seed(3)
    wengert.rand(5, generator=generator)
    twins = [pickle.loads(pickle.dumps(generator)), copy.deepcopy(generator), generator]
    assert len({wengert.rand((), generator=g).item() for g in twins}) == 1
