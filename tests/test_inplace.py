"""Writes: memory that views share, version counters, and the history that a write leaves behind.

Owns the proof of wengert/inplace.py and of what the ops say about views. Every program runs on wengert; what it returns
is compared with what PyTorch returned (tests/recorded/), and under `parity` with what PyTorch returns now.
May import wengert's public names, tests/programs.py and, in tests marked `parity`, torch.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import wengert
from programs import Programs, differ, error, plain

PROGRAMS = program = Programs("test_inplace")


def leaf(torch: Any, *values: Any) -> Any:
    return torch.tensor(list(values) if len(values) != 1 else values[0], dtype=torch.float64, requires_grad=True)


def constant(torch: Any, *values: Any) -> Any:
    return leaf(torch, *values).detach().clone()


def grid(torch: Any, rows: int = 3, columns: int = 4, requires_grad: bool = True) -> Any:
    return torch.arange(1.0, rows * columns + 1, dtype=torch.float64).reshape(rows, columns).requires_grad_(requires_grad)


# ---- memory
@program
def views_share_memory(torch: Any) -> Any:
    x = grid(torch, requires_grad=False)
    views = [x[0], x[:, 1], x[1:, ::2], x.t(), x.view(2, 6), x.reshape(12), x.unsqueeze(0), x.transpose(0, 1)[2], x.diagonal(),
             x.narrow(1, 1, 2), x.permute(1, 0), x.flatten(), x.detach(), x.data, x.select(0, 2), x.squeeze(),
             x.expand(2, 3, 4),
             *x.unbind(0), *x.split(2), *x.chunk(2, 1), x.view_as(x), x.T, x.mT, x.movedim(0, 1), x[None], x[...], x[:],
             x.swapaxes(0, 1), x.ravel(), x.unflatten(1, (2, 2)), x.contiguous(), x.as_strided((2, 2), (1, 1)) if False else x[0:2, 0:2]]  # fmt: skip
    x.mul_(-1)
    return views


@program
def copies_do_not_share(torch: Any) -> Any:
    x = grid(torch, requires_grad=False)
    copies = [x.clone(), x[[0, 1]], x[x > 2], x.t().reshape(12), x.t().contiguous(), x * 1, torch.cat([x, x]), x.float(),
              x.index_select(0, torch.tensor([1])), x.flip(0), x.repeat(1, 1), x.roll(1)]  # fmt: skip
    x.zero_()
    return copies


@program
def views_under_no_grad(torch: Any) -> Any:
    x = grid(torch).detach().clone().requires_grad_()
    with torch.no_grad():
        of_a_view = grid(torch)[0]
    with torch.no_grad():
        y, z, part, counted = x.t(), x[1], x.chunk(2)[1], x.view(torch.int32)
        text = repr(x[0])
    total = (y * 2).sum()
    total.backward()
    errors = [error(lambda: y.mul_(2)), error(lambda: torch.autograd.grad(total, y)), error(y.numpy)]
    mine = z.requires_grad_()
    mine.sum().backward()
    return [v.requires_grad for v in (y, z, part, counted, total, of_a_view)], y.is_leaf, y.grad_fn, text, x.grad, y.grad, mine.grad, errors


@program
def gradients_may_be_written_to(torch: Any) -> Any:
    x, y = grid(torch), torch.tensor(2.0, requires_grad=True)
    first, second = torch.autograd.grad(x.sum() * y, (x, y), create_graph=True)
    third, _ = torch.autograd.grad(x.sum() + y, (x, y), create_graph=True)
    return third.fill_(3), second.detach().mul_(2), first.requires_grad


@program
def results_of_bools_and_integers_are_new(torch: Any) -> Any:
    x, n = torch.tensor([True, False]), torch.tensor([1, -2])
    made = [x.sign(), x.sgn(), n.sign(), n.floor(), n.round(), n.trunc(), n.ceil(), torch.flip(torch.tensor(1.5), (-1,)).mul_(2)]
    x.fill_(True), n.fill_(7)
    return made


@program
def gradient_names_of_views_in_place(torch: Any) -> Any:
    def name(write: Any) -> str:
        x = torch.ones(1, 3, requires_grad=True) * 2
        return str(write(x).grad_fn.name())

    return [name(f) for f in (lambda x: x.t_(), lambda x: x.unsqueeze_(0), lambda x: x.squeeze_(), lambda x: x.squeeze_(0),
                              lambda x: x.transpose_(0, 1), lambda x: x[:], lambda x: x[:, :], lambda x: x[0:1, :], lambda x: x.H)]  # fmt: skip


@program
def backward_into_a_result_retains_its_gradient(torch: Any) -> Any:
    x = grid(torch)
    y = x * 2
    y.sum().backward(inputs=[y], retain_graph=True)
    y.sum().backward()
    return y.retains_grad, y.grad, x.grad


@program
def copies_wrap_numbers(torch: Any) -> Any:
    x = torch.zeros(2, dtype=torch.uint8)
    return x.copy_(300), torch.ones(2, dtype=torch.int64).index_add(0, torch.tensor([0]), torch.tensor([3]), alpha=2.0)


@program
def writes_through_views_reach_the_base(torch: Any) -> Any:
    x = torch.zeros(3, 4)
    x[0].add_(1)
    x[:, 1].mul_(5).add_(2)
    x[1:, ::2].fill_(7)
    x.t()[3].sub_(1)
    x.view(-1)[5] = 9
    x.diagonal().add_(100)
    x.unsqueeze(0)[0, 2, 3] = -1
    return x


@program
def strides_and_offsets(torch: Any) -> Any:
    x = torch.zeros(3, 4)
    views = [x, x[1], x[:, 1], x.t(), x[1:, ::2], x[None], x.expand(2, 3, 4), x.diagonal(), x.view(2, 6), x[0, 0]]
    return [(v.stride(), v.storage_offset(), v.is_contiguous(), tuple(v.shape)) for v in views]


@program
def the_same_storage(torch: Any) -> Any:
    x = torch.zeros(3, 4)
    return (
        x.data_ptr() == x.detach().data_ptr() == x.data.data_ptr() == x[0].data_ptr(),
        x[1].data_ptr() - x.data_ptr(),
        x.clone().data_ptr() == x.data_ptr(),
        x.add_(1) is x,
        x.is_set_to(x.view(3, 4)),
        x.contiguous() is x,
        x.reshape(3, 4).data_ptr() == x.data_ptr(),
    )


@program
def number_types_of_writes(torch: Any) -> Any:
    n = torch.tensor([1, 2, 3])
    n[0] = 7.9
    n.add_(2)
    n.mul_(torch.tensor([1, 2, 3], dtype=torch.int8))
    f = torch.tensor([1.0, 2.0])
    f.add_(torch.tensor([1, 2]))
    f.mul_(torch.tensor([2.0, 3.0], dtype=torch.float64))
    f[1] = True
    b = torch.tensor([True, False])
    b[1] = 3
    b.logical_not_()
    return n, f, b, error(lambda: n.add_(1.5)), error(lambda: n.mul_(f)), error(lambda: b.add_(1)), n, b


@program
def writes_of_every_kind(torch: Any) -> Any:
    results = []
    for method, args in [
        ("add_", (2,)), ("sub_", (2,)), ("mul_", (2,)), ("div_", (2,)), ("pow_", (2,)), ("neg_", ()), ("abs_", ()),
        ("exp_", ()),
        ("log_", ()), ("sqrt_", ()), ("sin_", ()), ("cos_", ()), ("tanh_", ()), ("sigmoid_", ()), ("reciprocal_", ()),
        ("floor_", ()),
        ("ceil_", ()), ("round_", ()), ("clamp_", (1, 2)), ("clamp_min_", (2,)), ("clamp_max_", (2,)), ("zero_", ()),
        ("fill_", (3,)), ("relu_", ()), ("square_", ()), ("rsqrt_", ()), ("tril_", ()), ("triu_", ()), ("erf_", ()),
        ("trunc_", ()),
        ("remainder_", (2,)), ("fmod_", (2,)), ("cumsum_", (0,)), ("log1p_", ()), ("expm1_", ()), ("tan_", ()),
        ("atan_", ()),
    ]:  # fmt: skip
        x = leaf(torch, [[1.2, 2.3], [3.4, 0.5]])
        y = x * 1
        same = getattr(y, method)(*args) is y
        (y * y).sum().backward()
        results.append((method, same, y._version, y, x.grad))
    return results


@program
def writes_with_two_tensors(torch: Any) -> Any:
    results = []
    for method in ("add_", "sub_", "mul_", "div_", "pow_", "copy_", "atan2_", "addcmul_", "lerp_", "addcdiv_"):
        x, w = leaf(torch, 1.2, 2.3), leaf(torch, 0.7, 1.9)
        y = x * 1
        if method in ("addcmul_", "addcdiv_"):
            getattr(y, method)(w, w + 1)
        elif method == "lerp_":
            y.lerp_(w, 0.25)
        else:
            getattr(y, method)(w)
        (y * y).sum().backward()
        results.append((method, y, x.grad, w.grad))
    return results


@program
def operators_that_write(torch: Any) -> Any:
    x, w = leaf(torch, 1.2, 2.3), leaf(torch, 0.7, 1.9)
    y = x * 1
    z = y
    y += w
    y *= 2
    y -= 1
    y /= w
    y **= 2
    (y * y).sum().backward()
    n = torch.tensor([7, 8])
    m = n
    n += 1
    n //= 2
    n %= 3
    n <<= 1
    n |= 4
    n &= 6
    n ^= 1
    return y, z is y, x.grad, w.grad, n, m is n


@program
def alpha_and_out(torch: Any) -> Any:
    x, w = torch.ones(2), torch.tensor([1.0, 2.0])
    x.add_(w, alpha=3).sub_(w, alpha=0.5)
    out = torch.zeros(2)
    same = torch.add(x, w, out=out) is out
    v = torch.zeros(2, 2)
    torch.mul(x, w, out=v[0])
    torch.exp(w, out=v[1])
    return x, out, same, v, error(lambda: torch.add(x.requires_grad_(), w, out=out)), out._version


# ---- history of what is no view
@program
def a_write_to_a_result(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y = x * 2
    y.add_(1).mul_(3)
    y.sum().backward()
    return y, x.grad, y.grad_fn.name(), y._version


@program
def a_write_with_the_gradient_of_both(torch: Any) -> Any:
    x, w = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
    y = x * 1
    y.mul_(w)
    y.mul_(w)
    y.sum().backward()
    return y, x.grad, w.grad


@program
def a_write_with_itself(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y = x * 1
    y.add_(y)
    first = y.clone()
    first.sum().backward()
    z = x * 1
    z.mul_(z)
    return first, x.grad, error(lambda: z.sum().backward()), x.grad


@program
def a_constant_takes_part(torch: Any) -> Any:
    x, c = leaf(torch, 1.0, 2.0), constant(torch, 5.0, 6.0)
    flags = [c.requires_grad, c.is_leaf]
    c.mul_(x)
    flags += [c.requires_grad, c.is_leaf]
    c.sum().backward()
    return flags, c, x.grad


@program
def a_constant_is_overwritten(torch: Any) -> Any:
    x, c = leaf(torch, 1.0, 2.0), constant(torch, 5.0, 6.0)
    c.copy_(x * 3)
    c[0] = 9
    c.sum().backward()
    return c, x.grad


@program
def a_result_is_overwritten_by_a_constant(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y = x * 2
    y.copy_(constant(torch, 5.0, 6.0))
    flag = y.requires_grad
    y.sum().backward()
    z = x * 2
    z.zero_()
    z.sum().backward()
    w = x * 2
    w.fill_(3)
    return flag, y, x.grad, z.requires_grad, w.requires_grad


@program
def fill_with_a_tensor(torch: Any) -> Any:
    x, s = leaf(torch, 1.0, 2.0), leaf(torch, 3.0)
    y = x * 2
    y.fill_(s)
    (y * constant(torch, 1.0, 10.0)).sum().backward()
    return y, x.grad, s.grad


@program
def copy_broadcasts_and_converts(torch: Any) -> Any:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = torch.zeros(3, 2, dtype=torch.float64)
    y.copy_(x)
    (y * grid(torch, 3, 2, False)).sum().backward()
    return y, x.grad


@program
def leaves_cannot_be_written(torch: Any) -> Any:
    x = leaf(torch, [[1.0, 2.0], [3.0, 4.0]])
    actions = [
        lambda: x.add_(1), lambda: x.zero_(), lambda: x.__setitem__(0, 1.0), lambda: x[0].add_(1),
        lambda: x.view(4).mul_(2),
        lambda: x.t()[0].fill_(1), lambda: x.copy_(x), lambda: x.unsqueeze(0).sub_(1), lambda: x.exp_(),
        lambda: x.clamp_(0, 1),
        lambda: x.__iadd__(1), lambda: x.normal_(), lambda: x[0, 0].zero_(), lambda: x.masked_fill_(x > 1, 0.0),
        lambda: x.detach_(),
    ]  # fmt: skip
    return [error(a) for a in actions[:-1]], x, x._version, x.grad


@program
def leaves_are_written_without_grad(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    with torch.no_grad():
        x.add_(1)
        x[0] = 7
        x[1:].mul_(2)
        x.copy_(x * 2)
    (x * x).sum().backward()
    return x, x.grad, x.is_leaf, x._version


@program
def written_without_grad_then_backward(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y = (x * x).sum()
    z = (x + 1).sum()
    with torch.no_grad():
        x.add_(1)
    return error(y.backward), x.grad, error(z.backward), x.grad


@program
def a_result_written_without_grad_keeps_its_history(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y = x * 2
    with torch.no_grad():
        y.zero_()
    y.sum().backward()
    return y, y.requires_grad, x.grad


# ---- saved values
@program
def a_saved_output_is_overwritten(torch: Any) -> Any:
    results = []
    for function in ("exp", "tanh", "sigmoid", "sqrt", "tan", "rsqrt", "reciprocal"):
        x = leaf(torch, 0.5, 0.7)
        y = getattr(x, function)()
        y.add_(1)
        results.append((function, error(lambda y=y: y.sum().backward()), x.grad))
    return results


@program
def a_saved_input_is_overwritten(torch: Any) -> Any:
    results = []
    for function in ("sin", "cos", "log", "abs", "square", "erf", "log1p", "atan", "sinh"):
        x = leaf(torch, 0.5, 0.7)
        h = x * 1
        y = getattr(h, function)()
        h.add_(1)
        results.append((function, error(lambda y=y: y.sum().backward()), x.grad))
    return results


@program
def what_is_not_saved_may_be_overwritten(torch: Any) -> Any:
    x = leaf(torch, 0.5, 0.7)
    h = x * 1
    y = h + 3
    z = h.exp()
    h.add_(1)
    y.mul_(2)
    (y.sum() + z.sum()).backward()
    return x.grad


@program
def the_factor_that_is_needed(torch: Any) -> Any:
    x, w = leaf(torch, 1.0, 2.0), constant(torch, 3.0, 4.0)
    y, z = x * w, w * 2
    h = x * 1
    u = h * w
    h.add_(1)
    u.sum().backward()
    w.add_(1)
    return x.grad, error(lambda: y.sum().backward()), x.grad, z


@program
def in_place_exp_and_friends_work(torch: Any) -> Any:
    results = []
    for function in (
        "exp_",
        "tanh_",
        "sigmoid_",
        "sqrt_",
        "sin_",
        "cos_",
        "log_",
        "abs_",
        "square_",
        "reciprocal_",
        "erf_",
        "neg_",
    ):
        x = leaf(torch, 0.5, 0.7)
        y = x * 1
        getattr(y, function)()
        (y * constant(torch, 1.0, 3.0)).sum().backward()
        results.append((function, y, x.grad))
    return results


@program
def a_view_writes_what_the_base_saved(torch: Any) -> Any:
    x = leaf(torch, [[1.0, 2.0], [3.0, 4.0]])
    h = x * 1
    y = h.sin()
    h[0].add_(1)
    return error(lambda: y.sum().backward()), x.grad


@program
def the_base_writes_what_a_view_saved(torch: Any) -> Any:
    x = leaf(torch, [[1.0, 2.0], [3.0, 4.0]])
    h = x * 1
    y = h[0].sin()
    h[1].add_(1)
    return error(lambda: y.sum().backward()), x.grad


@program
def detach_shares_the_counter(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    h = x * 1
    y = (h * h).sum()
    h.detach().add_(1)
    z = x * 1
    w = (z * z).sum()
    z.data.add_(1)
    w.backward()
    return error(y.backward), h._version, z._version, x.grad


@program
def a_detached_leaf_shares_the_counter(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y = (x * x).sum()
    d = x.detach()
    d.zero_()
    return error(y.backward), x, d._version == x._version, x.grad


@program
def numpy_writes_are_not_noticed(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y = (x * x).sum()
    x.detach().numpy()[:] = 5
    y.backward()
    return x, x.grad


@program
def retain_graph_and_a_write_between(torch: Any) -> Any:
    x, w = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
    y = (x * w).sum()
    y.backward(retain_graph=True)
    with torch.no_grad():
        w.sub_(w.grad)
    return error(y.backward), x.grad, w.grad


# ---- history of views
@program
def a_write_through_a_view(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0, 3.0)
    y = x * 2
    y[1:].mul_(10)
    (y * y).sum().backward()
    return y, x.grad, y.grad_fn.name()


@program
def a_view_sees_the_write_to_its_base(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0, 3.0)
    y = x * 2
    v = y[1:]
    y.mul_(10)
    (v * v).sum().backward()
    return v, x.grad


@program
def a_view_sees_the_write_of_its_sister(torch: Any) -> Any:
    x, w = leaf(torch, 1.0, 2.0, 3.0), leaf(torch, 5.0)
    y = x * 2
    a, b = y[:2], y[1:]
    a.mul_(w)
    (b * b).sum().backward()
    return b, x.grad, w.grad


@program
def a_view_of_a_view_writes(torch: Any) -> Any:
    x, w = grid(torch), leaf(torch, 2.0, 3.0)
    y = x * 1
    v = y[1:].t()[::2]
    v.mul_(w)
    (y * grid(torch, requires_grad=False)).sum().backward()
    return y, x.grad, w.grad


@program
def a_chain_of_views_and_writes(torch: Any) -> Any:
    x, w = grid(torch), leaf(torch, 0.5)
    y = x * 1
    a = y[1:]
    a.add_(1)
    b = a.t()
    b[0].mul_(w)
    c = b.reshape(-1) if False else b[1:3]
    c.sin_()
    y.mul_(2)
    a[0, 0] = 100
    (y * y).sum().backward(retain_graph=True)
    first = x.grad.clone(), w.grad.clone()
    (a.sum() + b.sum() * 2 + c.sum() * 3).backward()
    return y, a, b, c, first, x.grad, w.grad


@program
def a_constant_base_takes_gradient_through_a_view(torch: Any) -> Any:
    x, c = leaf(torch, 1.0, 2.0), torch.zeros(2, 2, dtype=torch.float64)
    row = c[0]
    other = c[:, 1]
    row.copy_(x)
    flags = [c.requires_grad, row.requires_grad, other.requires_grad, c.is_leaf, row.is_leaf]
    (c.exp().sum() + other.sum() * 10).backward()
    return flags, c, x.grad


@program
def rows_are_assigned_one_by_one(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0, 3.0)
    out = torch.zeros(4, 3, dtype=torch.float64)
    for i in range(4):
        out[i] = x**i
    out.prod(1).sum().backward()
    return out, x.grad


@program
def a_recurrence_in_one_buffer(torch: Any) -> Any:
    x = leaf(torch, 0.5)
    s = torch.zeros(6, dtype=torch.float64)
    s[0] = 1.0
    for i in range(1, 6):
        s[i] = s[i - 1].clone() * x + i
    s.sum().backward()
    return s, x.grad


@program
def setitem_of_every_kind(torch: Any) -> Any:
    results = []
    keys = [
        0, -1, slice(1, None), (0, 1), (slice(None), 1), (slice(None, None, 2), slice(1, 3)), ..., (..., 0), None,
        (0, None),
        [0, 2], ([0, 1], [1, 2]), (slice(None), [0, 3]), torch.tensor([2, 0]), torch.tensor([True, False, True]),
        torch.tensor(1),
    ]  # fmt: skip
    for key in keys:
        x, w = grid(torch), leaf(torch, 7.0)
        y = x * 1
        y[key] = w
        (y * grid(torch, requires_grad=False)).sum().backward()
        results.append((y, x.grad, w.grad))
    x = grid(torch)
    y = x * 1
    y[y > 5] = 0
    y[0] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    y[1, :2] = y[2, :2]
    (y * grid(torch, requires_grad=False)).sum().backward()
    return results, y, x.grad


@program
def index_writes_pass_gradients_to_values(torch: Any) -> Any:
    x, v = grid(torch), leaf(torch, [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]])
    y = x * 1
    y[[2, 0]] = v
    y[torch.tensor([0, 1]), torch.tensor([1, 1])] += v[:, 0]
    (y * grid(torch, requires_grad=False)).sum().backward()
    return y, x.grad, v.grad


@program
def augmented_writes_to_items(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0, 3.0)
    y = x * 1
    y[0] += 5
    y[1:] *= y[0].clone()
    y[1] /= 2
    y.sum().backward()
    z = x * 1
    z[1:] *= z[0]  # the factor is kept, and lies in the memory that is written
    return y, x.grad, error(lambda: z.sum().backward())


@program
def two_views_that_overlap(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0, 3.0, 4.0)
    y = x * 1
    a, b = y[:3], y[1:]
    a.mul_(2)
    b.mul_(3)
    a.add_(1)
    (a * b).sum().backward()
    return y, a, b, x.grad


@program
def write_a_view_with_values_of_another_view(torch: Any) -> Any:
    x = leaf(torch, [[1.0, 2.0], [3.0, 4.0]])
    y = x * 1
    y[0].add_(y[1])
    y[:, 0] = y[:, 1]
    (y * y).sum().backward()
    return y, x.grad


@program
def a_view_made_before_its_base_had_a_history(torch: Any) -> Any:
    x, c = leaf(torch, 1.0, 2.0), torch.ones(2, 2, dtype=torch.float64)
    v = c[1]
    c.mul_(x)
    (v * v).sum().backward()
    return v.requires_grad, x.grad, v


@program
def views_of_detached_tensors_are_apart(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y = x * 2
    d = y.detach()
    d[0] = 50
    (y * 3).sum().backward()
    return y, d.requires_grad, x.grad


@program
def writing_history_into_a_detached_tensor(torch: Any) -> Any:
    x, w = leaf(torch, 1.0, 2.0), leaf(torch, 3.0)
    y = x * 2
    d = y.detach()
    d.mul_(w)
    flags = [d.requires_grad, y.grad_fn.name()]
    d.sum().backward()
    return flags, y, w.grad, x.grad


@program
def a_view_made_without_grad(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0, 3.0)
    y = x * 2
    with torch.no_grad():
        v = y[1:]
        v.add_(1)
    return error(lambda: v.mul_(2)), y


@program
def a_view_made_without_grad_of_a_leaf(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0, 3.0)
    with torch.no_grad():
        v = x[1:]
    return error(lambda: v.mul_(2)), x


@program
def a_blind_view_looks_differently(torch: Any) -> Any:
    base = grid(torch) * 1
    with torch.no_grad():
        view = base[0:2]
        view.t_()
    return error(lambda: view.mul_(2))


@program
def a_blind_view_after_its_base_was_rebased(torch: Any) -> Any:
    x, w = leaf(torch, 1.0, 2.0, 3.0), leaf(torch, 5.0)
    y = x * 2
    with torch.no_grad():
        v = y[1:]
    y.mul_(w)
    return error(lambda: (v * w).sum().backward()), x.grad, w.grad


@program
def retain_grad_follows_a_write(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y = x * 2
    y.retain_grad()
    y.mul_(3)
    (y * y).sum().backward()
    return y.grad, y.retains_grad, x.grad


@program
def retain_grad_after_a_write(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y = x * 2
    y.mul_(3)
    y.retain_grad()
    (y * y).sum().backward()
    return y.grad, x.grad


@program
def retain_grad_of_a_written_base(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y = x * 2
    y.retain_grad()
    y[0].mul_(3)
    (y * y).sum().backward()
    return y.grad, x.grad


@program
def retain_grad_of_a_constant_that_was_written(torch: Any) -> Any:
    x, c = leaf(torch, 1.0, 2.0), constant(torch, 3.0, 4.0)
    c.mul_(x)
    c.retain_grad()
    (c * c).sum().backward()
    return c.grad, x.grad


@program
def a_hook_before_a_write_sees_the_old_gradient(torch: Any) -> Any:
    x, seen = leaf(torch, 1.0, 2.0), []
    y = x * 2
    y.register_hook(lambda g: seen.append(("before", g.clone())))
    y.mul_(3)
    y.register_hook(lambda g: seen.append(("after", g.clone())))
    (y * y).sum().backward()
    return sorted(seen, key=lambda s: s[0]), x.grad


@program
def grad_with_respect_to_a_written_tensor(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y = x * 2
    y.mul_(3)
    z = (y * y).sum()
    return torch.autograd.grad(z, (y, x))


@program
def grad_with_respect_to_a_view_after_a_write(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0, 3.0)
    y = x * 2
    v = y[1:]
    y.mul_(3)
    z = (v * v).sum()
    return torch.autograd.grad(z, (v, x))


@program
def double_backward_through_writes(torch: Any) -> Any:
    x, w = leaf(torch, 1.0, 2.0, 3.0), leaf(torch, 0.5)
    y = x * x
    y[1:].mul_(w)
    y.sin_()
    gx, gw = torch.autograd.grad(y.sum(), (x, w), create_graph=True)
    return gx, gw, torch.autograd.grad(gx.sum() + gw, (x, w))


@program
def double_backward_through_assignments(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0, 3.0)
    buffer = torch.zeros(2, 3, dtype=torch.float64)
    buffer[0] = x**3
    buffer[1, ::2] = buffer[0, ::2].clone() * x[1]
    (g,) = torch.autograd.grad(buffer.exp().log().sum(), x, create_graph=True)
    return g, torch.autograd.grad((g * g).sum(), x)


@program
def a_leaf_copy_is_written(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y = x.clone()
    y[0] = 10
    y.sum().backward()
    return x, y, x.grad


@program
def expanded_memory_is_not_written(torch: Any) -> Any:
    x = torch.zeros(1, 3)
    e = x.expand(2, 3)
    return error(lambda: e.add_(1)), error(lambda: e.mul_(2)), error(lambda: e.copy_(x + 1)), x, x._version


@program
def failed_writes_change_nothing(torch: Any) -> Any:
    x, w = leaf(torch, 1.0, 2.0), torch.ones(3, dtype=torch.float64)
    y = x * 2
    n = torch.tensor([1, 2])
    before = y._version
    outcomes = [
        error(lambda: y.add_(w)), error(lambda: y.copy_(w)), error(lambda: y.__setitem__(slice(None), w)),
        error(lambda: y.add_(torch.ones(2, 2, dtype=torch.float64))), error(lambda: n.add_(0.5)),
        error(lambda: y.mul_("a")),
        error(lambda: y.__setitem__(5, 1.0)), error(lambda: y.__setitem__((0, 0), 1.0)), error(lambda: n.div_(2)),
        error(lambda: n.exp_()), error(lambda: n.copy_("a")), error(lambda: y.masked_fill_(torch.ones(2), 0.0)),
    ]  # fmt: skip
    unchanged = y._version == before, y.grad_fn.name(), n._version
    y.sum().backward()
    return outcomes, unchanged, y, n, x.grad


@program
def data_is_replaced(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    x.data = torch.tensor([5.0, 6.0, 7.0], dtype=torch.float64)
    (x * x).sum().backward()
    return x, x.grad, x.is_leaf, x.requires_grad


@program
def data_is_written(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    x.data[0] = 9
    x.data.mul_(2)
    x.data -= 1
    (x * x).sum().backward()
    return x, x.grad, x._version, x.data.requires_grad


@program
def detach_in_place(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y = x * 2
    same = y.detach_() is y
    view = (x * 3)[0]
    return same, y.requires_grad, y.is_leaf, y.grad_fn is None, error(view.detach_), x.detach_().requires_grad


@program
def a_gradient_is_written_by_hand(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    (x * x).sum().backward()
    x.grad.data.zero_()
    x.grad += 1
    x.grad[0] = 5
    (x * 3).sum().backward()
    return x.grad, x.grad.requires_grad


@program
def metadata_changes_in_place(torch: Any) -> Any:
    x = leaf(torch, [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    results = []
    for act in (
        lambda y: y.t_(), lambda y: y.unsqueeze_(1), lambda y: y.unsqueeze_(0).squeeze_(0),
        lambda y: y.transpose_(0, 1),
        lambda y: y.unsqueeze_(0).squeeze_(), lambda y: y.swapaxes_(0, 1),
    ):  # fmt: skip
        y = x * 2
        held = y
        same = act(y) is held
        z = constant(torch, 1.0, 10.0, 100.0)[: y.shape[-1]] * y
        x.grad = None
        z.sum().backward()
        results.append((same, tuple(y.shape), y, x.grad, y._version))
    return results


@program
def older_views_of_what_is_turned(torch: Any) -> Any:
    x, w = grid(torch, 2, 3), leaf(torch, 2.0, 3.0)
    y = x * 1
    row, column = y[0], y[:, 2]
    y.t_()
    y.mul_(w)
    later = y[0]
    row.sin_()
    y.unsqueeze_(0)
    later.add_(1)
    loss = (y * y).sum() + row.sum() * 10 + column.sum() * 100 + later.sum() * 1000
    return y, row, column, later, torch.autograd.grad(loss, (x, w))


@program
def metadata_changes_of_leaves(torch: Any) -> Any:
    x = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    x.t_()
    x[0, 1] = 9
    w = leaf(torch, [[1.0, 2.0]])
    return x, tuple(x.shape), error(w.t_), w


@program
def random_fills_are_writes(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y = x * 2
    y.uniform_(5, 6)
    inside = bool(((y >= 5) & (y <= 6)).all())
    y.sum().backward()
    z = torch.zeros(3)
    z.normal_()
    z.bernoulli_(0.5)
    return inside, x.grad, y._version, z._version


@program
def index_methods_in_place(torch: Any) -> Any:
    index = torch.tensor([0, 2])
    results = []
    for act in (
        lambda y, v: y.index_add_(0, index, v),
        lambda y, v: y.scatter_(0, torch.tensor([[0, 1, 2, 0]]), v[:1]),
        lambda y, v: y.scatter_add_(0, torch.tensor([[0, 1, 2, 0]]), v[:1]),
        lambda y, v: y.masked_fill_(y > 5, -1.0), lambda y, v: y.index_put_((index,), v),
    ):  # fmt: skip
        x, v = grid(torch), leaf(torch, [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]])
        y = x * 1
        act(y, v)
        (y * y).sum().backward()
        results.append((y, x.grad, v.grad))
    return results


@program
def a_base_that_died(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0, 3.0)

    def view() -> Any:
        return (x * 2)[1:]

    v = view()
    v.mul_(5)
    v[0].add_(1)
    (v * v).sum().backward()
    return v, x.grad


@program
def a_view_of_another_type_of_history(torch: Any) -> Any:
    x = grid(torch, 2, 2)
    h = x.sin()
    v = h.view(4)
    w = v[1:3]
    w.copy_(x[0])
    h.diagonal().mul_(2)
    (h * h).sum().backward()
    return h, v, w, x.grad


@program
def reshape_of_what_cannot_be_viewed(torch: Any) -> Any:
    x = grid(torch)
    y = x * 1
    r = y.t().reshape(-1)
    y.zero_()
    r.mul_(2)
    r.sum().backward()
    return r, y, x.grad, error(lambda: y.t().view(-1))


@program
def expanded_memory_takes_one_value(torch: Any) -> Any:
    outcomes = []
    for act in (
        lambda e: e.fill_(3), lambda e: e.zero_(), lambda e: e.__setitem__((0, 0), 7.0), lambda e: e.__setitem__(0, 1.0),
        lambda e: e.__setitem__(0, torch.tensor([5.0, 6.0, 7.0])), lambda e: e.masked_fill_(torch.tensor([False, True, False]), 9),
        lambda e: e.masked_fill_(e > 1, torch.tensor(9)), lambda e: e.__setitem__(e > 1, 5.0), lambda e: e[0].add_(1),
        lambda e: e.__setitem__(slice(None), 1.0), lambda e: e.fill_(torch.tensor(1.0)), lambda e: e[:, 1].fill_(8),
        lambda e: e[:, 1].__setitem__(slice(None), 8), lambda e: torch.sin(e, out=e),
    ):  # fmt: skip
        x = torch.tensor([0.0, 1.0, 2.0])
        outcomes.append((error(lambda act=act, x=x: act(x.expand(4, 3))), x))
    whole = torch.arange(6.0).reshape(2, 3).t()
    whole.expand(1, 3, 2).mul_(2)  # nothing is repeated
    return outcomes, whole


@program
def fills_take_one_value_that_fits(torch: Any) -> Any:
    x, n, small = torch.ones(2), torch.ones(2, dtype=torch.int64), torch.ones(2, dtype=torch.uint8)
    failed = [
        error(lambda: x.fill_(1 + 2j)), error(lambda: x.fill_(torch.ones(1))), error(lambda: x.fill_(torch.ones(2, 1))),
        error(lambda: small.fill_(300)), error(lambda: x.fill_("a")), error(lambda: x.fill_([1])),
        error(lambda: x.__setitem__(0, 1 + 2j)), error(lambda: torch.ones(2, dtype=torch.float16).fill_(1e6)),
        error(lambda: torch.ones(2, dtype=torch.int32).__setitem__(0, 2**40)), error(lambda: x.masked_fill_(x > 0, 1j)),
        error(lambda: x.masked_fill_(x > 0, torch.ones(1))), error(lambda: x.masked_fill_(torch.ones(2), 1.0)),
    ]  # fmt: skip
    return failed, x.fill_(2 + 0j), n.fill_(2.7), small.fill_(-1), n.clone().fill_(torch.tensor(3.9)), x._version


@program
def masked_fills_write_in_place(torch: Any) -> Any:
    x, w = leaf(torch, 1.0, 2.0, 3.0), leaf(torch, 5.0)
    y = x * 1
    y.masked_fill_(torch.tensor([True, False, False]), w)
    z = torch.zeros(2, 3).t()
    z.masked_fill_(torch.tensor([True, False]), 2.5)
    one = torch.zeros(()).masked_fill_(torch.tensor(True), 4)
    (y * y).sum().backward()
    return y, y.grad_fn.name(), x.grad, w.grad, z, z._version, one, error(lambda: z.masked_fill_(torch.ones(4) > 0, 1.0))


@program
def empty_vectors_keep_their_place_in_cat(torch: Any) -> Any:
    none, x = torch.empty(0, requires_grad=True), torch.ones(2, 3)
    y = torch.cat([none, x, x], 1)
    y.sum().backward()
    alone = torch.cat([torch.empty(0), none])
    return y, none.grad, alone, torch.cat([x, torch.empty(0, dtype=torch.float64)]), torch.cat([none.detach(), x[:, :0]], 1)


@program
def memory_written_to_as_it_lies(torch: Any) -> Any:
    ramp, found = torch.arange(12.0, dtype=torch.float64).reshape(3, 4), []
    for turned in (False, True):
        for weight in (torch.ones((), dtype=torch.float64), ramp, ramp.reshape(4, 3).t()):
            x = torch.zeros(4, 3, dtype=torch.float64).t() if turned else torch.zeros(3, 4, dtype=torch.float64)
            b = torch.ones(2, 2, dtype=torch.float64, requires_grad=True)
            y = x.requires_grad_() * 2
            y.as_strided((2, 2), (4, 2), 1).copy_(b)
            z = x * 2
            z[:, :].as_strided((2, 2), (4, 2), 1).mul_(3)
            found += [y.detach(), *torch.autograd.grad((y * weight).sum(), (x, b)), *torch.autograd.grad((z * weight).sum(), x)]
    return found


@program
def views_of_a_leaf_that_is_a_view(torch: Any) -> Any:
    """`reshape(...).requires_grad_()` makes a leaf of a view: no write through its own views may make it a result."""
    x, w = grid(torch, 2, 3), constant(torch, 2.0)
    writes = [lambda: x[0].mul_(w), lambda: x.view(-1).add_(1), lambda: x.fill_(1), lambda: x.diagonal().zero_(), lambda: x.t_()]
    raised = [error(write) for write in writes] + [error(lambda: x.__setitem__(0, 1.0)), error(lambda: x.unsqueeze_(0))]
    with torch.no_grad():
        x[1] = 5
        x.view(-1)[:1].mul_(3)
    (x * x).sum().backward()
    return raised, x, x.is_leaf, x.grad


@program
def one_value_of_another_type_goes_where_a_mask_holds(torch: Any) -> Any:
    mask, one = torch.tensor([True, False, True]), torch.tensor(7.5, dtype=torch.float64)
    n, x, y = torch.tensor([1, 2, 3]), torch.ones(3), torch.ones(3, requires_grad=True) * 2
    n[mask] = one
    x.index_put_((mask,), one.reshape(1))
    y[mask] = one
    x[torch.tensor(1)] = one * 2  # an element's place, not an index
    y[True] = torch.full((3,), 3.0, dtype=torch.float64)
    x[False] = torch.ones(2, dtype=torch.float64)  # nothing is written
    return n, x, y, y.dtype is torch.float32


@program
def flags_and_types_that_a_write_meets(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y, none = x * 2, torch.zeros(0, dtype=torch.int16)
    flags = [error(lambda t=t, to=to: setattr(t, "requires_grad", to)) for t, to in ((y, True), (y, False), (x, True))]
    counts = torch.zeros(0, 3, dtype=torch.int64)
    divided = [none // 0, none % torch.tensor(0, dtype=torch.int16), none.fmod(0), counts // torch.zeros(3, dtype=torch.int64)]
    return flags, divided, error(lambda: torch.ones(3).bitwise_and_(1)), error(lambda: torch.tensor(1.5).unflatten(0, (1, -1)))


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name: str) -> None:
    assert PROGRAMS.compare(name, wengert) == []


@pytest.mark.parity
@pytest.mark.parametrize("name", PROGRAMS)
def test_program_against_torch(name: str) -> None:
    assert PROGRAMS.compare_live(name, wengert, pytest.importorskip("torch")) == []


# ---- wengert alone
def test_views_stay_with_the_memory_that_data_left() -> None:
    """After `c.data = other` a write through an older view is no business of c's."""
    c, w = wengert.zeros(4), wengert.ones(2, requires_grad=True)
    v = c[:2]
    c.data = wengert.full((3,), 5.0)
    v.add_(w)
    assert v.requires_grad and not c.requires_grad and c.tolist() == [5.0, 5.0, 5.0]
    v.sum().backward()
    assert w.grad.tolist() == [1.0, 1.0]


def test_data_is_checked() -> None:
    x = wengert.ones(2, requires_grad=True)
    with pytest.raises(TypeError, match="has to be a tensor, but got list"):
        x.data = [1.0, 2.0]  # type: ignore[assignment]
    with pytest.raises(RuntimeError, match="floating point and complex dtype"):
        x.data = wengert.ones(2, dtype=wengert.int64)
    assert x.tolist() == [1.0, 1.0] and x.requires_grad


def test_read_only_memory_is_not_written() -> None:
    """NumPy's own protection holds for tensors on its memory, and the error is a RuntimeError that says so."""
    a = np.zeros((2, 3))
    a.flags.writeable = False
    x = wengert.from_numpy(a)
    for act in (lambda: x[0].add_(1), lambda: x.copy_(x + 1), lambda: x.__setitem__(0, 1.0), lambda: x.add_(1)):
        with pytest.raises(RuntimeError, match="read-only"):
            act()
    assert x.tolist() == np.zeros((2, 3)).tolist() and x._version == 0


def test_a_write_is_noticed_through_a_shallow_copy() -> None:
    import copy

    x = wengert.ones(2, requires_grad=True)
    y = (x * x).sum()
    with wengert.no_grad():
        copy.copy(x).mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()
    assert x.grad is None


# ---- what is kept: an op may keep less than PyTorch's, never more
KEEPING: dict[str, Callable[[Any, Any, Any], Any]] = {
    **{
        name: lambda torch, a, b, name=name: getattr(torch, name)(a)
        for name in (
            "exp exp2 expm1 log log2 log10 log1p sigmoid erf erfc sin cos tan asin acos atan sinh cosh tanh asinh atanh sqrt "
            "rsqrt reciprocal square abs neg floor sign relu sum mean prod amax norm std var"
        ).split()
    },
    **{
        name: lambda torch, a, b, name=name: getattr(torch, name)(a, b)
        for name in "add sub mul div pow atan2 maximum minimum fmod remainder hypot logaddexp matmul outer dot".split()
    },
    "softmax": lambda torch, a, b: a.softmax(0),
    "log_softmax": lambda torch, a, b: a.log_softmax(0),
    "max": lambda torch, a, b: a.max(0).values,
    "cumsum": lambda torch, a, b: a.cumsum(0),
    "clamp": lambda torch, a, b: a.clamp(0.4, 0.6),
    "where": lambda torch, a, b: torch.where(a > 0.5, a, b),
    "lerp": lambda torch, a, b: a.lerp(b, 0.3),
    "addcmul": lambda torch, a, b: torch.addcmul(a, a, b),
    "addcdiv": lambda torch, a, b: torch.addcdiv(a, a, b),
    "a number's power": lambda torch, a, b: 2**a,
    "a power": lambda torch, a, b: a**3,
    "a number by": lambda torch, a, b: 1 / a,
    "by a number": lambda torch, a, b: a / 3,
    "index": lambda torch, a, b: a[torch.tensor([1, 0])],
    "cat": lambda torch, a, b: torch.cat([a, b]),
}


def overwritten(torch: Any, name: str, which: str) -> Any:
    """Overwrite an input or the result of an op, then run backward: the gradients, or None where that raises."""
    x, w = leaf(torch, 0.3, 0.7), leaf(torch, 0.8, 0.45)
    values = {"a": x * 1, "b": w * 1}
    values["y"] = KEEPING[name](torch, values["a"], values["b"])
    values[which].add_(1)
    try:
        return plain(torch.autograd.grad(values["y"].sum(), (x, w), materialize_grads=True))
    except RuntimeError:
        return None




@pytest.mark.parity
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("which", ["a", "b", "y"])
@pytest.mark.parametrize("name", KEEPING)
def test_nothing_is_kept_that_torch_does_not_keep(name: str, which: str) -> None:
    """What may be overwritten in PyTorch may be overwritten here, and the gradient is the same."""
    theirs = overwritten(pytest.importorskip("torch"), name, which)
    if theirs is not None:
        assert differ(overwritten(wengert, name, which), theirs) == []


# ---- programs nobody wrote: views of views, writes, and arithmetic, in any order
VIEWS: list[Callable[[Any], Any]] = [
    lambda a: a[0] if a.dim() else a[None],
    lambda a: a[-1:] if a.dim() else a.unsqueeze(0),
    lambda a: a[..., ::2] if a.dim() else a.view(1),
    lambda a: a.transpose(0, -1) if a.dim() else a.view(()),
    lambda a: a.reshape(-1) if a.is_contiguous() else a[...],
    lambda a: a.diagonal() if a.dim() == 2 else a[None],
    lambda a: a.unsqueeze(-1) if a.dim() < 3 else a[:, 0],
    lambda a: a.movedim(0, -1) if a.dim() else a[...],
]
VALUES: list[Callable[[Any, Any], Any]] = [
    lambda a, b: a.sin(), lambda a, b: (a * 0.1).exp(), lambda a, b: a * 2, lambda a, b: a + b, lambda a, b: a * b,
    lambda a, b: a.tanh(), lambda a, b: 1 - a, lambda a, b: a.clone(), lambda a, b: a / (b * b + 1), lambda a, b: a.sum(),
    lambda a, b: a.cos() * a,
]  # fmt: skip
WRITES: list[Callable[[Any, Any], Any]] = [
    lambda a, b: a.add_(b), lambda a, b: a.mul_(b), lambda a, b: a.sin_(), lambda a, b: a.tanh_(), lambda a, b: a.copy_(b),
    lambda a, b: a.sub_(b, alpha=0.5), lambda a, b: a.mul_(1.5), lambda a, b: a.pow_(2), lambda a, b: a.zero_(),
    lambda a, b: a.clamp_(-0.9, 0.9), lambda a, b: a.div_(b * b + 1), lambda a, b: a.masked_fill_(a.detach() > 0.3, 0.1),
    lambda a, b: a.addcmul_(b, b, value=0.5), lambda a, b: a.neg_(), lambda a, b: a.__setitem__(..., b * 0.5),
    lambda a, b: a.t_() if a.dim() == 2 else a.neg_(), lambda a, b: a.unsqueeze_(0) if a.dim() < 3 else a.squeeze_(),
    lambda a, b: a.__setitem__(0, 0.5) if a.dim() else a.fill_(0.5), lambda a, b: a.detach().mul_(1.1),
]  # fmt: skip
TOLD = WRITES[:-1]  # those that autograd is told of: a detached write changes values and no gradient


def fits(target: Any, value: Any) -> bool:
    """Say whether a value broadcasts to the shape of a target."""
    pairs = zip(reversed(target.shape), reversed(value.shape), strict=False)
    return value.dim() <= target.dim() and all(n in (1, m) for m, n in pairs)


def random_program(torch: Any, seed: int, x_values: Any, w_values: Any, writes: Any = WRITES) -> tuple[Any, ...]:
    """Run the program that a seed stands for; return its leaves, everything it made, and a scalar of some of that."""
    draw = random.Random(seed)
    x, w = leaf(torch, x_values.tolist()), leaf(torch, w_values.tolist())
    made, memories = [x * 1, w * 1], [0, 1]  # tensors, and which of them share memory
    for step in range(draw.randint(3, 14)):
        i = draw.randrange(len(made))
        j = draw.choice([j for j, b in enumerate(made) if fits(made[i], b)])
        a, b = made[i], made[j]
        kind, number = draw.random(), draw.randrange(1000)
        if kind < 0.3:
            made.append(VIEWS[number % len(VIEWS)](a))
            memories.append(memories[i])
        elif kind < 0.55:
            made.append(VALUES[number % len(VALUES)](a, b))
            memories.append(100 + step)
        else:  # reading what is being written is left undefined, so the operand is another memory or the same tensor
            writes[number % len(writes)](a, b.clone() if memories[i] == memories[j] and i != j else b)
    loss = sum(made[draw.randrange(len(made))].cos().sum() * (n + 1) for n in range(3))
    return x, w, made, loss


def outcome(torch: Any, seed: int) -> Any:
    """Return the values and gradients of first and second order of a random program, or None where it raises."""
    values = np.random.default_rng(seed)
    try:
        x, w, made, loss = random_program(torch, seed, values.uniform(-1, 1, (2, 3)), values.uniform(-1, 1, 3))
        first = torch.autograd.grad(loss, (x, w), create_graph=seed % 2 == 0, materialize_grads=True)
        again = sum((g * g).sum() for g in first)
        second = (
            torch.autograd.grad(again, (x, w), materialize_grads=True)
            if again.requires_grad
            else [x.detach() * 0, w.detach() * 0]
        )
    except RuntimeError:
        return None
    flags = [t.requires_grad for t in made]
    return plain([[t.detach() for t in (loss, *made, *first, *second)], flags])


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(300))
def test_random_programs_equal_torch(seed: int) -> None:
    """Where PyTorch gives gradients, they are these; it raises more often, as it keeps more."""
    theirs = outcome(pytest.importorskip("torch"), seed)
    if theirs is not None:
        assert differ(outcome(wengert, seed), theirs) == []


@pytest.mark.parametrize("seed", range(0, 600, 2))
def test_random_programs_have_the_gradients_of_their_values(seed: int) -> None:
    """No wrong gradient, whatever is written where: it equals the difference quotient, or backward raises."""
    draw = np.random.default_rng(seed)
    at, along = (draw.uniform(-1, 1, (2, 3)), draw.uniform(-1, 1, 3)), (draw.uniform(-1, 1, (2, 3)), draw.uniform(-1, 1, 3))
    try:
        x, w, _, loss = random_program(wengert, seed, *at, TOLD)
        grads = wengert.autograd.grad(loss, (x, w), materialize_grads=True)
    except RuntimeError:
        return
    found = sum((g.numpy() * v).sum() for g, v in zip(grads, along, strict=True))
    wanted = quotient(seed, at, along)
    assert wanted is None or found == pytest.approx(wanted, rel=1e-4, abs=1e-5)


def quotient(seed: int, at: Any, along: Any) -> float | None:
    """Return the central difference of a random program; None near a kink, where two step sizes disagree."""
    found = []
    for step in (1e-4, 1e-5):
        sides = [[a + sign * step * v for a, v in zip(at, along, strict=True)] for sign in (1, -1)]
        high, low = (random_program(wengert, seed, *side, TOLD)[3].item() for side in sides)
        found.append((high - low) / (2 * step))
    return found[1] if found[0] == pytest.approx(found[1], rel=1e-3, abs=1e-4) else None


@pytest.mark.parametrize("size", [1, 2])
def test_a_write_that_overflows_is_made_once_where_that_raises(size: int) -> None:
    x = wengert.full((size,), 2e38)
    with np.errstate(all="raise"):
        x.add_(x)
    assert x.tolist() == [float("inf")] * size and x._version == 1
    x = wengert.full((size,), 2.0)
    with np.errstate(all="raise"):
        assert x.add_(1).tolist() == [3.0] * size and x._version == 1
