"""`gradcheck` and `gradgradcheck`: right functions pass, every kind of wrong one is named.

Owns the proof of wengert/autograd/gradcheck.py. Programs as in test_autograd.py.
May import wengert's public names, tests/programs.py and, in tests marked `parity`, torch.
"""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import pytest

import wengert
from programs import Programs
from test_function import function, leaf, says

PROGRAMS = program = Programs("test_gradcheck")


def tools(torch: Any) -> Any:
    return torch.autograd.gradcheck, torch.autograd.gradgradcheck


RIGHT = {
    "exp": lambda torch, x, w: x.exp(),
    "product": lambda torch, x, w: x * w,
    "two results": lambda torch, x, w: (x * w, (x - w).sum()),
    "matrix": lambda torch, x, w: x.unsqueeze(1) @ w.unsqueeze(0),
    "itself": lambda torch, x, w: x,
    "an integer too": lambda torch, x, w: (x * w, x.long()),
    "a write": lambda torch, x, w: (x * 1).mul_(w).tanh_(),
    "views": lambda torch, x, w: (x[1:], w.expand(2, 3)),
    "a list": lambda torch, x, w: [x.sin(), w.cos()],
    "complex results": lambda torch, x, w: x * 1j + w,
}


@program
def right_functions_pass(torch: Any) -> Any:
    check, again = tools(torch)
    passed = []
    for f in RIGHT.values():
        x, w = leaf(torch, 0.5, 1.5, 2.5), leaf(torch, 1.5, -0.5, 0.7)
        run = lambda x, w, f=f: f(torch, x, w)  # noqa: E731
        passed += [check(run, (x, w)), check(run, (x, w), fast_mode=True), x.grad, w.grad, x]
    for name in ("exp", "product", "two results", "matrix", "a write"):
        run = lambda x, w, f=RIGHT[name]: f(torch, x, w)  # noqa: E731
        passed += [again(run, (x, w)), again(run, (x, w), fast_mode=True)]
    return passed


@program
def complex_inputs(torch: Any) -> Any:
    check, again = tools(torch)
    z = torch.tensor([1 + 2j, 2 - 1j], dtype=torch.complex128, requires_grad=True)
    x = leaf(torch, 0.5, 1.5)
    bad = function(torch, lambda ctx, z: (ctx.save_for_backward(z), z * z)[1], lambda ctx, g: g * 2 * ctx.saved_tensors[0])
    return (
        check(lambda z: z * z, (z,)), check(lambda z: z.abs(), (z,)), check(lambda z: z.conj() * x, (z,)),
        check(lambda z, x: z * x, (z, x)), check(lambda z: z * z, (z,), fast_mode=True), again(lambda z: z * z, (z,)),
        check(lambda x: x * (1 + 2j), (x,)),
        says(lambda: check(bad.apply, (z,)), "part of complex outputs only, Jacobian mismatch for output 0 with respect to input 0"),
    )  # fmt: skip


@program
def other_arguments(torch: Any) -> Any:
    check, again = tools(torch)
    x = leaf(torch, 0.5, 1.5)
    return (
        check(lambda x, n: x**n, (x, 3)), check(torch.exp, x), check(torch.exp, [x]), again(lambda x, n: x**n, (x, 3)),
        again(torch.exp, (x,), torch.ones(2, dtype=torch.float64, requires_grad=True)),
        check(torch.exp, (x,), eps=1e-4, atol=1e-3, rtol=0.0, nondet_tol=1e-9, check_undefined_grad=False, check_grad_dtypes=True),
        check(torch.exp, (x,), masked=True, check_batched_grad=False, raise_exception=True),
    )  # fmt: skip


@program
def a_wrong_gradient(torch: Any) -> Any:
    check, again = tools(torch)
    x = leaf(torch, 1.0, 2.0)
    bad = function(torch, lambda ctx, x: x * 2, lambda ctx, g: g * 3)
    second = function(torch, lambda ctx, x: (ctx.save_for_backward(x), x * x)[1], lambda ctx, g: g * 2 * ctx.saved_tensors[0].detach())
    words = "Jacobian mismatch for output 0 with respect to input 0,\nnumerical:"
    return (
        says(lambda: check(bad.apply, (x,)), words), says(lambda: check(bad.apply, (x,), fast_mode=True), words),
        check(bad.apply, (x,), raise_exception=False), check(second.apply, (x,)),
        says(lambda: again(second.apply, (x,)), words), again(second.apply, (x,), raise_exception=False),
        says(lambda: check(lambda x, w: (x, bad.apply(w)), (x, leaf(torch, 3.0))), "for output 1 with respect to input 1"),
        says(lambda: check(function(torch, lambda ctx, x: x * 2, lambda ctx, g: g * 2 + 1e-3).apply, (x,), atol=0.1), "backward not"),
    )  # fmt: skip


@program
def forward_mode_and_batches(torch: Any) -> Any:
    check, again = tools(torch)
    x, w = leaf(torch, 0.5, 1.5), leaf(torch, 2.5, -1.0)
    z = torch.tensor([1 + 2j, 2 - 1j], dtype=torch.complex128, requires_grad=True)
    wrong = function(torch, lambda ctx, x: x * 2, lambda ctx, g: g * 2)
    wrong.jvp = staticmethod(lambda ctx, t: t * 3)
    f = lambda x, w: (x.exp() * w, (x * x.detach().long()).sum(), (x - w).tanh())  # noqa: E731
    return (
        check(f, (x, w), check_forward_ad=True), check(f, (x, w), check_batched_grad=True), check(f, (x, w), check_forward_ad=True, check_backward_ad=False),
        check(lambda z: z * z, (z,), check_forward_ad=True), again(lambda x, w: x.exp() * w, (x, w), check_fwd_over_rev=True),
        says(lambda: check(wrong.apply, (x,), check_forward_ad=True), "Jacobian computed with forward mode mismatch for output 0"),
    )  # fmt: skip


@program
def unfit_inputs(torch: Any) -> Any:
    check, _ = tools(torch)
    x = leaf(torch, 1.0, 2.0)
    return (
        says(lambda: check(torch.exp, (x.detach(),)), "gradcheck expects at least one input tensor to require gradient"),
        says(lambda: check(torch.exp, (x.expand(3, 2),)), "The 0th input has a dimension with stride 0"),
        says(lambda: check(torch.exp, (x,), check_backward_ad=False), "Expected at least one of check_forward_ad or check_backward_ad"),
    )  # fmt: skip


@program
def float32_inputs_are_warned_about(torch: Any) -> Any:
    check, _ = tools(torch)
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        said = says(lambda: check(torch.exp, (x,)), "Jacobian mismatch")
    words = "Input #0 requires gradient and is not a double precision floating point or complex"
    return said, sum(words in str(w.message) and w.category is UserWarning for w in caught)


@program
def functions_that_hide_their_input(torch: Any) -> Any:
    check, _ = tools(torch)
    x = leaf(torch, 1.0, 2.0)
    return (
        says(lambda: check(lambda x: x.detach() * 2, (x,)), "Numerical gradient for function expected to be zero"),
        check(lambda x: x.long(), (x,)), check(lambda x: x.detach() * 0, (x,)),
    )  # fmt: skip


@program
def a_gradient_that_changes(torch: Any) -> Any:
    check, _ = tools(torch)
    calls: list[int] = []
    odd = function(torch, lambda ctx, x: x * 2, lambda ctx, g: (calls.append(1), g * 2 * (1 + 1e-9 * len(calls)))[1])
    x = leaf(torch, 1.0, 2.0)
    return says(lambda: check(odd.apply, (x,)), "Backward is not reentrant"), check(odd.apply, (x,), nondet_tol=1e-3)


@program
def undefined_gradients(torch: Any) -> Any:
    check, _ = tools(torch)

    def forward(ctx: Any, a: Any, b: Any) -> Any:
        ctx.set_materialize_grads(False)
        return a * 2, b * 3

    careless = function(torch, forward, lambda ctx, g, h: (g.mul(2), h.mul(3)))
    raising = function(torch, forward, lambda ctx, g, h: (check_defined(g).mul(2), check_defined(h).mul(3)))
    careful = function(torch, forward, lambda ctx, g, h: (None if g is None else g * 2, None if h is None else h * 3))
    x, w = leaf(torch, 1.0, 2.0), leaf(torch, 1.0, 2.0)
    words = "Expected backward function to handle undefined output grads"
    return (
        says(lambda: check(careless.apply, (x, w)), ""), says(lambda: check(raising.apply, (x, w)), words),
        check(careful.apply, (x, w)),
    )  # fmt: skip


def check_defined(g: Any) -> Any:
    if g is None:
        raise RuntimeError("nothing came")
    return g


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name: str) -> None:
    assert PROGRAMS.compare(name, wengert) == []


@pytest.mark.parity
@pytest.mark.parametrize("name", PROGRAMS)
def test_program_against_torch(name: str) -> None:
    assert PROGRAMS.compare_live(name, wengert, pytest.importorskip("torch")) == []


@pytest.mark.parity
def test_no_elements_are_fit_to_be_checked() -> None:
    none = wengert.zeros(0, 3, dtype=wengert.float64, requires_grad=True)
    assert wengert.autograd.gradcheck(wengert.exp, (none[:, None].reshape(0, 3),))


@pytest.mark.parity
def test_signatures_are_torch_s() -> None:
    torch = pytest.importorskip("torch")
    for name in ("gradcheck", "gradgradcheck"):
        ours, theirs = (inspect.signature(getattr(m.autograd, name)).parameters for m in (wengert, torch))
        assert [(p.name, p.default, p.kind) for p in ours.values()] == [(p.name, p.default, p.kind) for p in theirs.values()]


# ---- wengert alone
def test_the_message_names_the_entry_and_by_how_much() -> None:
    bad = function(wengert, lambda ctx, x: x * 2, lambda ctx, g: g * wengert.tensor([[2.0, 2.0], [2.0, 5.0]], dtype=wengert.float64))
    x = wengert.ones(2, 2, dtype=wengert.float64, requires_grad=True)
    with pytest.raises(wengert.autograd.GradcheckError) as caught:
        wengert.autograd.gradcheck(bad.apply, (x,))
    assert "1 of 16 entries are off; the most by 3 " in str(caught.value)
    assert "d output[1, 1] / d input[1, 1] is 2 numerically and 5 analytically" in str(caught.value)


def test_the_message_says_that_float32_is_why() -> None:
    x = wengert.tensor([1.0, 2.0], requires_grad=True)
    with pytest.warns(UserWarning, match="double precision"), pytest.raises(RuntimeError, match="Input 0 is torch.float32"):
        wengert.autograd.gradcheck(wengert.exp, (x,))


def test_the_module_and_the_function_have_one_name() -> None:
    import importlib

    module = importlib.import_module("wengert.autograd.gradcheck")
    x = leaf(wengert, 1.0, 2.0)
    assert module(wengert.exp, (x,)) and wengert.autograd.gradcheck(wengert.exp, (x,))
    assert module.GradcheckError is wengert.autograd.GradcheckError
