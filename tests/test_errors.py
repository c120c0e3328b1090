"""Bad input: PyTorch's exception type, a message that says what happened to what and what to do, and nothing changed.

Owns the proof of wengert/errors.py. Each case is one action on tensors made for it; afterwards every tensor, its
`.grad`, its history and its version are as they were. Under `parity` the same actions raise the same type in PyTorch.
May import wengert's public names, tests/programs.py and, in tests marked `parity`, torch.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import wengert
from programs import error


class World:
    """The tensors a case acts on, freshly made by wengert or torch."""

    def __init__(self, torch: Any) -> None:
        self.torch = torch
        self.x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)  # a leaf with a gradient
        (self.x * 2).sum().backward()
        self.m = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)  # a leaf without
        self.c = torch.tensor([1.0, 2.0, 3.0, 4.0])  # a constant
        self.n = torch.tensor([1, 2, 3])  # integers
        self.b = torch.tensor([True, False, True])
        self.d = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
        self.h = self.x * 1.5  # a result
        self.e = self.x.exp()  # a result that its node keeps
        self.v = self.h[1:]  # a view of a result
        self.y = (self.e * self.h).sum()  # a scalar
        self.wide = self.c.expand(2, 4)
        self.made = {k: t for k, t in vars(self).items() if hasattr(t, "requires_grad")}

    def state(self) -> dict[str, Any]:
        """Return all there is to know about the tensors."""
        known = {}
        for name, t in self.made.items():
            grad = t.grad if t.is_leaf else None
            node = None if t.grad_fn is None else t.grad_fn.name()
            known[name] = (
                t.tolist(),
                tuple(t.shape),
                str(t.dtype),
                t.requires_grad,
                node,
                t._version,
                None if grad is None else grad.tolist(),
            )
        return known


Case = tuple[str, Callable[[World], Any], str]  # the type of the exception, the action, what the message matches

CASES: dict[str, Case] = {
    # ---- shapes
    "add of sizes that do not broadcast": (
        "RuntimeError",
        lambda w: w.x + w.c,
        r"size of tensor a \(3\) must match.* b \(4\) at non-singleton dimension 0.*add.*\[3\].*\[4\]",
    ),
    "mul of matrices that do not broadcast": ("RuntimeError", lambda w: w.m * w.x, r"\(2\).*\(3\).*dimension 1.*mul"),
    "where of sizes that do not broadcast": ("RuntimeError", lambda w: w.torch.where(w.b, w.c, w.c), r"size.*must match"),
    "matmul of sizes that do not fit": (
        "RuntimeError",
        lambda w: w.torch.ones(2, 3) @ w.torch.ones(2, 3),
        r"cannot be multiplied \(2x3 and 2x3\)",
    ),
    "matrix times vector of another size": ("RuntimeError", lambda w: w.m @ w.x, r"2x2|size|shape"),
    "dot of vectors of other sizes": ("RuntimeError", lambda w: w.torch.dot(w.x, w.c), r"3.*4|\[3\].*\[4\]"),
    "reshape to another number of elements": (
        "RuntimeError",
        lambda w: w.c.reshape(3),
        r"shape '\[3\]' is invalid for input of size 4",
    ),
    "view to another number of elements": (
        "RuntimeError",
        lambda w: w.c.view(2, 3),
        r"shape '\[2, 3\]' is invalid for input of size 4",
    ),
    "view across what is not contiguous": ("RuntimeError", lambda w: w.m.t().view(4), r"not compatible.*reshape"),
    "reshape with two unknowns": ("RuntimeError", lambda w: w.c.reshape(-1, -1), r"only one dimension can be inferred"),
    "reshape with a remainder": ("RuntimeError", lambda w: w.c.reshape(-1, 3), r"invalid for input of size 4"),
    "cat of other sizes": (
        "RuntimeError",
        lambda w: w.torch.cat([w.m, w.torch.ones(2, 3)]),
        r"Sizes of tensors must match except in dimension 0",
    ),
    "cat of other dims": ("RuntimeError", lambda w: w.torch.cat([w.m, w.x]), r"same number of dimensions"),
    "cat of nothing": ("ValueError|RuntimeError", lambda w: w.torch.cat([]), r"non-empty"),
    "stack of other sizes": ("RuntimeError", lambda w: w.torch.stack([w.x, w.c]), r"equal size.*\[3\].*\[4\]"),
    "expand of a size that is not 1": ("RuntimeError", lambda w: w.x.expand(4), r"expanded size.*\(4\)|\[4\].*\[3\]"),
    "unflatten of a scalar": ("RuntimeError", lambda w: w.y.unflatten(0, (1, -1)), r"dimension specified as 0 but tensor has no dim"),
    "median of nothing": ("IndexError", lambda w: w.torch.zeros(2, 0).median(-1, keepdim=True), r"dim 1 to have non-zero size"),
    "nanmedian of nothing": ("IndexError", lambda w: w.torch.zeros(2, 0).nanmedian(-1, keepdim=True), r"to have non-zero size"),
    "frexp of integers": ("RuntimeError", lambda w: w.torch.frexp(w.n), r"frexp\(\) only supports floating-point dtypes, not int64"),
    "cdist of integers": (
        "RuntimeError",
        lambda w: w.torch.cdist(w.n[None], w.n[None]),
        r"cdist only supports floating-point dtypes, X1 got",
    ),
    "a write of bits to floats": (
        "NotImplementedError",
        lambda w: w.torch.ones(3).bitwise_and_(1),
        r"bitwise_and is not implemented for float32\[3\]",
    ),
    "requires_grad of a result set": ("RuntimeError", lambda w: setattr(w.h, "requires_grad", True), r"flags of leaf variables"),
    "a dim out of range": ("IndexError", lambda w: w.x.sum(1), r"range of \[-1, 0\], but got 1"),
    "a dim out of range below": ("IndexError", lambda w: w.m.softmax(-3), r"range of \[-2, 1\], but got -3"),
    "transpose of a dim out of range": ("IndexError", lambda w: w.m.transpose(0, 2), r"range of \[-2, 1\], but got 2"),
    "permute of too few dims": ("RuntimeError", lambda w: w.m.permute(0), r"permute.*number of dimensions"),
    "chunk into nothing": ("RuntimeError", lambda w: w.c.chunk(0), r"greater than 0"),
    "split of lengths that do not add up": ("RuntimeError", lambda w: w.c.split([1, 2]), r"sum exactly to 4"),
    "max of nothing": ("RuntimeError", lambda w: w.torch.zeros(0).max(), r"numel\(\) == 0|no elements|size above 0"),
    # ---- indices
    "an index out of range": ("IndexError", lambda w: w.x[3], r"index 3 is out of bounds for dimension 0 with size 3"),
    "an index out of range below": (
        "IndexError",
        lambda w: w.m[0, -3],
        r"index -3 is out of bounds for dimension \d with size 2",
    ),
    "too many indices": ("IndexError", lambda w: w.x[0, 0], r"too many indices for tensor of dimension 1"),
    "an index tensor out of range": ("IndexError", lambda w: w.x[w.torch.tensor([0, 5])], r"index 5 is out of bounds.* size 3"),
    "a float as index": ("TypeError|IndexError", lambda w: w.x[0.5], r"only integers.*float"),
    "a float tensor as index": ("IndexError", lambda w: w.x[w.d], r"long, int, byte or bool.*float64"),
    "a mask of another shape": ("IndexError", lambda w: w.c[w.b], r"mask \[3\].*does not match.*\[4\]"),
    "an index into a number": ("IndexError", lambda w: w.y[0], r"0-dim tensor.*item\(\)"),
    "a step below zero": ("ValueError", lambda w: w.c[::-1], r"step must be greater than zero"),
    "assignment of another size": (
        "RuntimeError",
        lambda w: w.c.__setitem__(slice(0, 2), w.d),
        r"expand.*3.*2|\(2\).*\(3\)|\[3\].*\[2\]",
    ),
    "assignment out of range": ("IndexError", lambda w: w.c.__setitem__(9, 0.0), r"index 9 is out of bounds"),
    "gather with floats": ("RuntimeError", lambda w: w.c.gather(0, w.d), r"gather\(\): Expected dtype int"),
    # ---- types
    "a string as operand": ("TypeError", lambda w: w.x + "a", r"unsupported operand|must be Tensor"),
    "None as operand": ("TypeError", lambda w: w.x * None, r"unsupported operand|must be Tensor"),
    "a list as operand": (
        "TypeError",
        lambda w: w.torch.add(w.x, [1, 2, 3]),
        r"add\(\): argument '?other'?.*not list.*as_tensor",
    ),
    "a list where a tensor belongs": ("TypeError", lambda w: w.torch.sin([1.0]), r"must be Tensor.*list"),
    "mean of integers": ("RuntimeError", lambda w: w.n.mean(), r"floating point or complex dtype.*int64"),
    "matmul of mixed types": ("RuntimeError", lambda w: w.x @ w.d, r"dtype|[Ff]loat.*[Dd]ouble"),
    "a mask that is no mask": ("RuntimeError", lambda w: w.c.masked_fill(w.c, 0.0), r"bool.*float32|float32.*bool|boolean"),
    "a number that the masked type cannot hold": (
        "RuntimeError", lambda w: w.n.to(w.torch.int8).masked_fill(w.n > -9, 200), r"int8 without overflow.*200",
    ),
    "where of no condition": (
        "RuntimeError",
        lambda w: w.torch.where(w.c, w.c, w.c),
        r"condition to be a boolean tensor.*float32",
    ),
    "a ragged list": ("ValueError", lambda w: w.torch.tensor([[1.0], [2.0, 3.0]]), r"expected sequence"),
    "a string as data": ("TypeError", lambda w: w.torch.tensor("abc"), r"invalid data type 'str'|data type"),
    "None as data": ("RuntimeError|TypeError", lambda w: w.torch.tensor(None), r"NoneType|None"),
    "a list for from_numpy": ("TypeError", lambda w: w.torch.from_numpy([1.0]), r"expected np.ndarray \(got list\)"),
    "a dtype that is none": ("TypeError", lambda w: w.torch.zeros(2, dtype="float99"), r"dtype"),
    "negative sizes": ("RuntimeError", lambda w: w.torch.zeros(-1), r"negative dimension -1"),
    "negative sizes of the old constructor": ("RuntimeError", lambda w: w.torch.Tensor(2, -2), r"negative dimension -2"),
    "memory of another size for a leaf": ("RuntimeError", lambda w: w.m.set_(w.torch.ones(5)), r"leaf Variable"),
    "a complex number for real elements": ("RuntimeError", lambda w: w.c.fill_(1j), r"without overflow"),
    "sizes that are no integers": ("TypeError", lambda w: w.torch.zeros(1.5), r"zeros|size"),
    "integers to negative powers": ("RuntimeError", lambda w: w.n**-1, r"Integers to negative integer powers"),
    # ---- numbers
    "item of several": ("RuntimeError", lambda w: w.x.item(), r"Tensor with 3 elements cannot be converted to Scalar.*tolist"),
    "float of several": ("ValueError", lambda w: float(w.d), r"only one element.*\[3\].*tolist"),
    "truth of several": ("RuntimeError", lambda w: bool(w.x), r"more than one value is ambiguous.*\[3\].*any.*all"),
    "truth of none": ("RuntimeError", lambda w: bool(w.torch.zeros(0)), r"no values is ambiguous"),
    "length of a number": ("TypeError", lambda w: len(w.y), r"len\(\) of a 0-d tensor"),
    "iteration over a number": ("TypeError", lambda w: iter(w.y), r"iteration over a 0-d tensor"),
    "a float tensor as Python index": (
        "TypeError",
        lambda w: range(w.torch.tensor(1.5)),
        r"only integer tensors of a single element",
    ),
    "numpy of what requires grad": ("RuntimeError", lambda w: w.x.numpy(), r"numpy\(\).*requires grad.*detach\(\)\.numpy\(\)"),
    "numpy of a result": ("RuntimeError", lambda w: w.h.numpy(), r"numpy\(\).*requires grad.*detach\(\)"),
    "membership of a string": ("RuntimeError", lambda w: "a" in w.c, r"__contains__ only supports Tensor or scalar"),
    "a format for several": ("TypeError", lambda w: f"{w.c:.2f}", r"__format__"),
    # ---- who may require grad
    "integers that require grad": (
        "RuntimeError",
        lambda w: w.n.requires_grad_(),
        r"floating point and complex dtype.*int64.*float\(\)",
    ),
    "new integers that require grad": (
        "RuntimeError",
        lambda w: w.torch.tensor([1, 2], requires_grad=True),
        r"floating point and complex dtype.*int64",
    ),
    "bools that require grad": (
        "RuntimeError",
        lambda w: w.torch.ones(2, dtype=w.torch.bool, requires_grad=True),
        r"floating point and complex dtype.*bool",
    ),
    "the flag of integers": (
        "RuntimeError",
        lambda w: setattr(w.n, "requires_grad", True),
        r"floating point and complex dtype",
    ),
    "a result that gives its gradient up": ("RuntimeError", lambda w: w.h.requires_grad_(False), r"leaf variables.*detach\(\)"),
    "retain_grad without grad": ("RuntimeError", lambda w: w.c.retain_grad(), r"can't retain_grad.*requires_grad=False"),
    "a hook without grad": ("RuntimeError", lambda w: w.c.register_hook(print), r"hook.*doesn't require gradient"),
    "a leaf's hook on a result": ("RuntimeError", lambda w: w.h.register_post_accumulate_grad_hook(print), r"non-leaf"),
    "detach_ of a view": ("RuntimeError", lambda w: w.v.detach_(), r"detach views in-place.*detach\(\)"),
    "deepcopy of a result": ("RuntimeError", lambda w: __import__("copy").deepcopy(w.h), r"graph leaves.*deepcopy.*"),
    # ---- grad as an attribute
    "a gradient of another shape": (
        "RuntimeError",
        lambda w: setattr(w.x, "grad", w.torch.ones(4)),
        r"different size|\[4\].*\[3\]",
    ),
    "a gradient of another type": ("RuntimeError", lambda w: setattr(w.x, "grad", w.d), r"different (type|dtype)|float64"),
    "a gradient that is no tensor": (
        "TypeError",
        lambda w: setattr(w.x, "grad", 1.0),
        r"expected to be a Tensor or None.*float",
    ),
    "a tensor as its own gradient": ("RuntimeError", lambda w: setattr(w.x, "grad", w.x), r"own grad"),
    # ---- backward
    "backward of several without gradient": (
        "RuntimeError",
        lambda w: w.h.backward(),
        r"only for scalar outputs.*\[3\].*gradient=.*sum\(\)",
    ),
    "backward of a constant": (
        "RuntimeError",
        lambda w: w.c.sum().backward(),
        r"element 0 of tensors does not require grad.*requires_grad_\(\)",
    ),
    "backward of a comparison": ("RuntimeError", lambda w: (w.x > 1).sum().backward(), r"does not require grad"),
    "backward under no_grad": ("RuntimeError", lambda w: _no_grad(w), r"does not require grad.*no_grad"),
    "backward of a detached result": ("RuntimeError", lambda w: w.y.detach().backward(), r"does not require grad.*detach"),
    "backward of integers": ("RuntimeError", lambda w: w.n.sum().backward(), r"does not require grad"),
    "a gradient argument of another shape": (
        "RuntimeError",
        lambda w: w.h.backward(w.c),
        r"Mismatch in shape: grad_output\[0\].*\[4\].*output\[0\].*\[3\]",
    ),
    "a gradient argument that is no tensor": (
        "TypeError",
        lambda w: w.h.backward([1.0, 1.0, 1.0]),
        r"Tensors or None.*(list|float)|gradients",
    ),
    "as many gradients as outputs": (
        "RuntimeError",
        lambda w: w.torch.autograd.backward([w.h, w.e], [w.d]),
        r"got 2 tensors and 1 gradients",
    ),
    "no inputs for backward": (
        "RuntimeError",
        lambda w: w.y.backward(inputs=[]),
        r"`inputs` argument to `backward\(\)` cannot be empty",
    ),
    "inputs that require no grad": (
        "RuntimeError",
        lambda w: w.y.backward(inputs=[w.c]),
        r"differentiated Tensors does not require grad",
    ),
    "grad for what was not used": (
        "RuntimeError",
        lambda w: w.torch.autograd.grad(w.y, w.m, retain_graph=True),
        r"not have been used in the graph.*allow_unused=True",
    ),
    "grad for a constant": ("RuntimeError", lambda w: w.torch.autograd.grad(w.y, w.c), r"does not require grad"),
    "grad of a constant": ("RuntimeError", lambda w: w.torch.autograd.grad(w.c.sum(), w.x), r"does not require grad"),
    "grad for nothing": ("RuntimeError|ValueError", lambda w: w.torch.autograd.grad(w.y, []), r"non-empty inputs"),
    "grad of several without gradient": ("RuntimeError", lambda w: w.torch.autograd.grad(w.h, w.x), r"only for scalar outputs"),
    "zeros for the unused, forbidden": (
        "ValueError",
        lambda w: w.torch.autograd.grad(w.y, w.m, materialize_grads=True, allow_unused=False),
        r"allow_unused",
    ),
    # ---- writes
    "a write to a leaf": ("RuntimeError", lambda w: w.x.add_(1), r"leaf Variable that requires grad.*in-place.*no_grad\(\)"),
    "a write to a leaf by operator": ("RuntimeError", lambda w: w.x.__iadd__(1), r"leaf Variable that requires grad"),
    "a write to an item of a leaf": ("RuntimeError", lambda w: w.x.__setitem__(0, 5.0), r"leaf Variable that requires grad"),
    "a write to a view of a leaf": (
        "RuntimeError",
        lambda w: w.x[1:].mul_(2),
        r"view of a leaf Variable that requires grad.*in-place",
    ),
    "a write to a view of a view of a leaf": (
        "RuntimeError",
        lambda w: w.m.t()[0].zero_(),
        r"view of a leaf Variable that requires grad",
    ),
    "a copy to a leaf": ("RuntimeError", lambda w: w.x.copy_(w.d), r"leaf Variable that requires grad"),
    "a fill of a leaf": ("RuntimeError", lambda w: w.x.normal_(), r"leaf Variable that requires grad"),
    "a write of a larger shape": (
        "RuntimeError",
        lambda w: w.h.add_(w.torch.ones(2, 3)),
        r"output with shape \[3\] doesn't match the broadcast shape \[2, 3\]",
    ),
    "a write of another shape": (
        "RuntimeError",
        lambda w: w.h.mul_(w.c),
        r"size of tensor a \(3\) must match the size of tensor b \(4\)",
    ),
    "a larger write to a constant": (
        "RuntimeError",
        lambda w: w.d.mul_(w.torch.ones(2, 3, dtype=w.torch.float64)),
        r"output with shape \[3\].*\[2, 3\]",
    ),
    "a float write to integers": (
        "RuntimeError",
        lambda w: w.n.add_(0.5),
        r"result type Float can't be cast to the desired output type (Long|long int)",
    ),
    "a division of integers in place": ("RuntimeError", lambda w: w.n.div_(2), r"result type Float can't be cast"),
    "an integer write to bools": (
        "RuntimeError",
        lambda w: w.b.add_(1),
        r"result type (Long|long int) can't be cast to the desired output type (Bool|bool)",
    ),
    "a write to expanded memory": ("RuntimeError", lambda w: w.wide.add_(1), r"single memory location.*clone\(\)"),
    "out= that requires grad": (
        "RuntimeError",
        lambda w: w.torch.add(w.c[:3], w.d, out=w.x),
        r"out=.*(automatic differentiation|requires grad)",
    ),
    "out= of a lower type": ("RuntimeError", lambda w: w.torch.add(w.c[:3], w.d, out=w.n), r"result type Double can't be cast"),
    "out= of a product of another type": (
        "RuntimeError",
        lambda w: w.torch.mv(w.m.detach(), w.c[:2], out=w.d),
        r"Expected out tensor to have dtype float32, but got float64 instead|addmv.*same dtype",
    ),
    "out= of indices that are no integers": (
        "RuntimeError",
        lambda w: w.torch.sort(w.c[:3], out=(w.c[:3].clone(), w.d)),
        r"Expected out tensor to have dtype (int64|long int), but got (float64|double) instead",
    ),
    "values of another type at indices": (
        "RuntimeError",
        lambda w: w.c.__setitem__(w.torch.tensor([0, 1, 2]), w.d),
        r"Index put requires the source and destination dtypes match",
    ),
    "values of another type where a mask holds": (
        "RuntimeError",
        lambda w: w.n.__setitem__(w.b, w.c[:2]),
        r"Index put requires the source and destination dtypes match",
    ),
    "a value of another type that is added at indices": (
        "RuntimeError",
        lambda w: w.c.index_put_((w.torch.tensor([0, 1]),), w.d[0], accumulate=True),
        r"Index put requires the source and destination dtypes match",
    ),
    "a weight of another type": (
        "RuntimeError",
        lambda w: w.torch.lerp(w.c[:3], w.c[1:], w.d),
        r"expected dtype (torch\.float32|float) for `weight` but got dtype (torch\.float64|double)",
    ),
    "a cross product of two types": (
        "RuntimeError",
        lambda w: w.torch.linalg.cross(w.c[:3], w.d),
        r"expected both to have one dtype|expected scalar type Float but found Double",
    ),
    # ---- devices and names
    "an unknown device": ("RuntimeError", lambda w: w.torch.zeros(2, device="cpp"), r"cpp"),
    "an unknown device for to": ("RuntimeError", lambda w: w.x.to("cudda"), r"cudda"),
    "an unknown device by constructor": ("RuntimeError", lambda w: w.torch.device("gpu9x"), r"gpu9x"),
    "a device that is no name": ("RuntimeError", lambda w: w.torch.device("cpu:first"), r"cpu:first"),
    "an unknown function": ("AttributeError", lambda w: w.torch.sinn, r"sinn"),
    "a function misspelt": ("AttributeError", lambda w: w.torch.linspaced, r"linspace"),
    "an unknown method": ("AttributeError", lambda w: w.x.sinn, r"sinn"),
    "an unknown optimizer": ("AttributeError", lambda w: w.torch.optim.Adamm, r"Adamm"),
    "an unknown layer": ("AttributeError", lambda w: w.torch.nn.Linnear, r"Linnear"),
    # ---- optimizers
    "a learning rate below zero": ("ValueError", lambda w: w.torch.optim.SGD([w.x], lr=-0.1), r"Invalid learning rate: -0.1"),
    "a parameter that is a result": ("ValueError", lambda w: w.torch.optim.SGD([w.h], lr=0.1), r"non-leaf"),
    "a parameter that is no tensor": ("TypeError", lambda w: w.torch.optim.SGD([1.0], lr=0.1), r"float"),
    "no parameters": ("ValueError", lambda w: w.torch.optim.SGD([], lr=0.1), r"empty parameter list"),
    "one tensor for parameters": ("TypeError", lambda w: w.torch.optim.SGD(w.x, lr=0.1), r"iterable"),
}


def _no_grad(w: World) -> None:
    with w.torch.no_grad():
        y = w.x * 2
    y.sum().backward()


def _raise(name: str, torch: Any) -> tuple[str, str, bool]:
    """Return the type and text of a case's exception, and whether all tensors are as they were."""
    world = World(torch)
    before = world.state()
    try:
        CASES[name][1](world)
    except Exception as raised:
        return type(raised).__name__, str(raised), world.state() == before
    return "nothing", "", world.state() == before


@pytest.mark.parametrize("name", CASES)
def test_error(name: str) -> None:
    kind, text, unchanged = _raise(name, wengert)
    assert kind in CASES[name][0].split("|"), (kind, text)
    assert re.search(CASES[name][2], text, re.S), text
    assert unchanged


@pytest.mark.parametrize("name", CASES)
def test_the_tensors_go_on_after_the_error(name: str) -> None:
    """What raised has freed no graph: the same backward still gives the same gradient."""
    world = World(wengert)
    with pytest.raises(Exception):  # noqa: B017
        CASES[name][1](world)
    world.y.backward()
    wanted = 2 + 1.5 * (world.x.detach() + 1) * world.x.detach().exp()
    assert wengert.allclose(world.x.grad, wanted)


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CASES)
def test_error_against_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    assert _raise(name, torch)[0] == _raise(name, wengert)[0]


# ---- cases that take more than one line
def test_backward_twice() -> None:
    w = World(wengert)
    w.y.backward()
    before = w.state()
    with pytest.raises(RuntimeError, match=r"second time.*retain_graph=True.*Backward0"):
        w.y.backward()
    assert w.state() == before


def test_a_saved_output_that_was_overwritten() -> None:
    w = World(wengert)
    w.e.add_(1)
    before = w.state()
    with pytest.raises(RuntimeError, match=r"modified by an inplace operation.*ExpBackward0.*\[3\].*1 time.*clone\(\)"):
        w.e.sum().backward()
    assert w.state() == before


def test_a_saved_input_that_was_overwritten() -> None:
    w = World(wengert)
    before = w.state()
    with wengert.no_grad():
        w.h.mul_(2)
    with pytest.raises(RuntimeError, match=r"modified by an inplace operation.*MulBackward0"):
        w.y.backward()
    after = w.state()
    assert after["x"] == before["x"] and after["y"] == before["y"]


@pytest.mark.parametrize("rate", [float("nan"), float("inf"), float("-inf"), -1.0])
def test_learning_rates_are_finite(rate: float) -> None:
    """PyTorch takes nan and inf silently; here they are an error, as nothing that is learned survives them."""
    x = wengert.ones(2, requires_grad=True)
    for optimizer in (wengert.optim.SGD, wengert.optim.Adam, wengert.optim.RMSprop):
        with pytest.raises(ValueError, match="Invalid learning rate"):
            optimizer([x], lr=rate)
    assert x.tolist() == [1.0, 1.0] and x.grad is None


@pytest.mark.parametrize(
    ("ask", "near"),
    [
        (lambda: wengert.zeros(2, device="cpuu"), "'cpu'"),
        (lambda: wengert.device("Cpu"), "'cpu'"),
        (lambda: wengert.optim.Adamm, "'Adam'"),
        (lambda: wengert.optim.sgd, "'SGD'"),
        (lambda: wengert.optim.RMSProp, "'RMSprop'"),
        (lambda: wengert.zeros(2).type("torch.FloatsTensor"), "'Float'"),
    ],
)
def test_the_nearest_names_are_named(ask: Callable[[], Any], near: str) -> None:
    with pytest.raises((RuntimeError, AttributeError, ValueError), match=f"Did you mean .*{near}"):
        ask()


def test_every_message_says_what_to_do_about_devices() -> None:
    with pytest.raises(RuntimeError, match="`wengert devices`"):
        wengert.zeros(2, device="nonsense")
    with pytest.raises(AttributeError, match="`wengert plugins`"):
        wengert.optim.Nonsense  # noqa: B018


@pytest.mark.parametrize("name", ["log", "sqrt", "div", "acos"])
def test_arithmetic_warns_of_nothing(name: str) -> None:
    """Infinities and nan are values: no warning, in whatever way NumPy would have been told to warn (here: as errors)."""
    x = wengert.tensor([0.0, -1.0, 5.0], requires_grad=True)
    y = x / 0 if name == "div" else getattr(wengert, name)(x)
    y.sum().backward()
    y.detach().div_(0)
    assert x.grad is not None


def test_errors_pass_through_raw_exceptions() -> None:
    """A user's own exception inside a hook arrives as it is."""
    x = wengert.ones(2, requires_grad=True)

    class Mine(Exception):
        pass

    def fail(g: Any) -> None:
        raise Mine("here")

    x.register_hook(fail)
    assert error(lambda: (x * 2).sum().backward()) == "Mine"
    assert x.grad is None


@pytest.mark.parametrize("name", ["lt", "le", "gt", "ge", "maximum", "minimum", "fmax", "fmin"])
def test_complex_numbers_have_no_order(name: str) -> None:
    z = wengert.tensor([1 + 2j, -3j])
    with pytest.raises(NotImplementedError, match=f"{name} is not implemented for complex numbers, which have no order"):
        getattr(wengert, name)(z, z)
    with pytest.raises(NotImplementedError, match="no order"):
        getattr(z.clone(), f"{name}_" if name[0] in "lg" else "clamp_")(0.0)


@pytest.mark.parametrize("weight", [0.5, wengert.tensor(0.5)])
def test_out_of_a_lerp_may_be_of_another_type(weight: Any) -> None:
    x, out = wengert.ones(3), wengert.empty(3, dtype=wengert.float64)
    assert wengert.lerp(x, 3 * x, weight, out=out) is out and out.tolist() == [2.0] * 3


@pytest.mark.parametrize("name", ["all", "any", "lerp", "softmax", "log_softmax", "std", "flip", "index_select", "gather"])
def test_what_is_no_tensor_is_named(name: str) -> None:
    given = [[1.0, 2.0], *{"lerp": ([2.0], 0.5), "index_select": (0, 1), "gather": (0, 1), "std": ()}.get(name, (0,))]
    with pytest.raises(TypeError, match=rf"{name}\(\).*list"):
        getattr(wengert, name)(*given)


@pytest.mark.parametrize("name", ["avg_pool2d", "max_pool2d", "adaptive_max_pool2d", "softmax", "interpolate", "one_hot", "rms_norm",
                                  "group_norm", "local_response_norm", "batch_norm"])  # fmt: skip
def test_what_is_no_tensor_is_named_by_layers(name: str) -> None:
    with pytest.raises(TypeError, match=rf"{name}\(\): argument input .*not ndarray"):
        getattr(wengert.nn.functional, name)(np.ones((1, 1, 4, 4), np.float32), 2, *[None] * (name == "batch_norm"))


def test_what_is_no_second_tensor_is_named() -> None:
    F, x, array = wengert.nn.functional, wengert.ones(1, 2, 4), np.ones((1, 2, 4), np.float32)
    for call, told in (
        (lambda: F.conv1d(x, array), "weight"), (lambda: F.cross_entropy(x, array), "target"),
        (lambda: F.embedding(wengert.tensor([0]), array[0]), "weight"), (lambda: F.layer_norm(x, (4,), x[0, 0], array), "bias"),
    ):  # fmt: skip
        with pytest.raises(TypeError, match=f"argument {told} must be Tensor.*not ndarray"):
            call()


def test_more_arguments_than_an_op_has() -> None:
    x = wengert.ones(2)
    for name in ("i0e", "i1", "sinc", "ndtr", "expit"):
        with pytest.raises(TypeError, match="takes 1 positional arguments but 2 were given"):
            getattr(wengert.special, name)(x, x)
    with pytest.raises(TypeError, match="mul_.. takes 1 positional argument but 2 were given"):
        x.mul_(2.0, x)


def test_a_tensor_is_not_resized_to_less_than_nothing() -> None:
    x = wengert.tensor([1, 2, 3])
    for sizes in ((-2,), (2, -1)):
        with pytest.raises(RuntimeError, match="negative"):
            x.resize_(*sizes)
    assert x.tolist() == [1, 2, 3]


@pytest.mark.parametrize("name", ["floor", "frac", "linalg.inv", "logcumsumexp"])
def test_out_of_a_function_that_takes_the_results_dtype_alone(name: str) -> None:
    """Those of plugins say so where they are registered."""
    function, x = operator.attrgetter(name)(wengert), wengert.eye(2)
    given, out = (x, 0) if name == "logcumsumexp" else (x,), wengert.full((2, 2), 7.0, dtype=wengert.float64)
    with pytest.raises(RuntimeError, match="Expected out tensor to have dtype float32, but got float64"):
        function(*given, out=out)
    assert (out == 7).all()
