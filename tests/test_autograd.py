"""The tape as a user meets it: backward and grad, modes, hooks, accumulation, graphs one can walk.

Owns the proof of wengert/tape.py, autograd/__init__.py and modes.py. Every program runs on wengert; what it returns is
compared with what PyTorch returned (tests/recorded/), and under `parity` with what PyTorch returns now.
May import wengert's public names, tests/programs.py and, in tests marked `parity`, torch.
"""

from __future__ import annotations

import itertools
import threading
import warnings
from typing import Any

import pytest

import wengert
from programs import Programs, error

PROGRAMS = program = Programs("test_autograd")


def leaf(torch: Any, *values: Any) -> Any:
    return torch.tensor(list(values) if len(values) != 1 else values[0], dtype=torch.float64, requires_grad=True)


# ---- backward
@program
def backward_of_a_scalar(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0, 3.0)
    y = (x * x).sum()
    return y.backward(), x.grad, y.grad_fn is not None, y.requires_grad


@program
def backward_with_a_gradient(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0, 3.0)
    y = x**3
    y.backward(torch.tensor([1.0, 0.5, -1.0], dtype=torch.float64))
    return x.grad


@program
def backward_with_the_gradient_in_a_list(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0, 3.0)
    (x**3).backward([torch.tensor([1.0, 0.5, -1.0], dtype=torch.float64)])
    return x.grad


@program
def backward_casts_the_gradient_given(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0, 3.0)
    (x * 2).backward(torch.tensor([1.0, 0.5, -1.0], dtype=torch.float32))
    return x.grad


@program
def backward_of_one_element_matrix(torch: Any) -> Any:
    x = leaf(torch, [[3.0]])
    (x * x).backward()
    return x.grad


@program
def backward_of_a_leaf_itself(torch: Any) -> Any:
    x = leaf(torch, 3.0)
    x.backward()
    v = leaf(torch, 1.0, 2.0)
    given = torch.tensor([5.0, 6.0], dtype=torch.float64)
    v.backward(given)
    given.zero_()
    return x.grad, v.grad


@program
def backward_adds_to_what_is_there(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    for _ in range(3):
        (x * x).sum().backward()
    return x.grad


@program
def accumulation_is_in_place(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    (x * x).sum().backward()
    held = x.grad
    first = held.clone()
    (x * 3).sum().backward()
    return held is x.grad, first, held


@program
def gradient_assigned_by_hand_is_added_to(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    x.grad = torch.tensor([10.0, 20.0], dtype=torch.float64)
    mine = x.grad
    (x * 2).sum().backward()
    after = mine.clone()
    x.grad = None
    (x * 2).sum().backward()
    return after, mine, x.grad


@program
def gradient_does_not_alias_the_argument(torch: Any) -> Any:
    a, b = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
    v = torch.ones(2, dtype=torch.float64)
    ((a + b) + 0).backward(v)
    v.zero_()
    a.grad.mul_(5)
    return a.grad, b.grad, v


@program
def gradients_do_not_alias_each_other(torch: Any) -> Any:
    a, b, c = (leaf(torch, 1.0, 2.0) for _ in range(3))
    (a + b - c).sum().backward()
    a.grad.fill_(7)
    b.grad.add_(1)
    return a.grad, b.grad, c.grad


@program
def gradient_of_a_leaf_does_not_alias_the_graph(torch: Any) -> Any:
    a, b = leaf(torch, 2.0, 3.0), leaf(torch, 5.0, 7.0)
    y = a * b
    y.sum().backward(retain_graph=True)
    a.grad.zero_()
    b.grad.zero_()
    y.sum().backward()
    return a.grad, b.grad, a, b


@program
def second_backward_adds_into_a_fresh_sum(torch: Any) -> Any:
    a, b = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
    for _ in range(2):
        (a + b).sum().backward()
    a.grad.mul_(10)
    return a.grad, b.grad


@program
def several_roots(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y, z = (x * x).sum(), x.exp()
    torch.autograd.backward([y, z], [None, torch.tensor([1.0, 2.0], dtype=torch.float64)])
    return x.grad


@program
def same_root_twice(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y = (x * x).sum()
    torch.autograd.backward([y, y])
    return x.grad


@program
def a_root_inside_the_graph_of_another(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y = (x * x).sum()
    z = y * y
    torch.autograd.backward([z, y])
    return x.grad


@program
def roots_with_one_gradient_each(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y, z = x * 2, x * x
    ones = torch.ones(2, dtype=torch.float64)
    torch.autograd.backward((y, z), (ones, 3 * ones))
    return x.grad, error(lambda: torch.autograd.backward((x * 2, x * 3), (ones,)))


@program
def backward_twice_needs_retain_graph(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    return x.grad, error(y.backward), x.grad


@program
def a_graph_that_kept_nothing_runs_again(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y = (x + 1).sum()
    y.backward()
    y.backward()
    return x.grad


@program
def a_shared_part_is_freed_once(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    shared = x * x
    one, two = shared.sum(), (shared * 2).sum()
    one.backward()
    return error(two.backward), x.grad


@program
def backward_with_inputs(torch: Any) -> Any:
    x, w = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
    y = (x * w).sum()
    y.backward(inputs=[x])
    return x.grad, w.grad


@program
def backward_with_one_input_tensor(torch: Any) -> Any:
    x, w = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
    (x * w).sum().backward(inputs=w)
    return x.grad, w.grad


@program
def backward_with_an_intermediate_input(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    h = x * x
    h.retain_grad()
    (h * 3).sum().backward(inputs=[h])
    return x.grad, h.grad


@program
def backward_with_inputs_adds(torch: Any) -> Any:
    x, w = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
    for _ in range(2):
        (x * w).sum().backward(inputs=[x])
    return x.grad, w.grad


@program
def backward_with_bad_inputs(torch: Any) -> Any:
    x, w = leaf(torch, 1.0, 2.0), torch.ones(2)
    y = (x * x).sum()
    return error(lambda: y.backward(inputs=[])), error(lambda: y.backward(inputs=[w])), x.grad


@program
def inputs_that_are_not_reached(torch: Any) -> Any:
    x, w = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
    (x * x).sum().backward(inputs=[x, w])
    return x.grad, w.grad


# ---- grad
@program
def grad_of_two_inputs(torch: Any) -> Any:
    x, w = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
    gx, gw = torch.autograd.grad((x * w * w).sum(), (x, w))
    return gx, gw, x.grad, w.grad


@program
def grad_returns_a_tuple_for_one_tensor(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    result = torch.autograd.grad((x * x).sum(), x)
    return type(result).__name__, result


@program
def grad_with_grad_outputs(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    v = torch.tensor([1.0, -1.0], dtype=torch.float64)
    return torch.autograd.grad(x.exp(), x, v), torch.autograd.grad([x.exp(), x * 2], [x], [v, v])


@program
def grad_does_not_alias_grad_outputs(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    v = torch.ones(2, dtype=torch.float64)
    (g,) = torch.autograd.grad(x * 1.0 + 0, x, v)
    v.zero_()
    return g


@program
def grad_of_unused_inputs(torch: Any) -> Any:
    x, w = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
    return (
        error(lambda: torch.autograd.grad((x * 2).sum(), (x, w))),
        torch.autograd.grad((x * 2).sum(), (x, w), allow_unused=True),
        torch.autograd.grad((x * 2).sum(), (x, w), materialize_grads=True),
        error(lambda: torch.autograd.grad(x.sum(), (x, w), allow_unused=False, materialize_grads=True)),
        torch.autograd.grad((x * 2).sum(), (x, w), allow_unused=True, materialize_grads=True),
    )


@program
def grad_of_an_intermediate(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    h = x * x
    y = (h * h).sum()
    return torch.autograd.grad(y, (h, x), retain_graph=True), torch.autograd.grad(y, h)


@program
def grad_of_the_output_itself(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y = (x * x).sum()
    return torch.autograd.grad(y, (y, x))


@program
def grad_of_a_leaf_by_itself(torch: Any) -> Any:
    x = leaf(torch, 2.0)
    return torch.autograd.grad(x, x), x.grad


@program
def grad_with_the_same_input_twice(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    a, b = torch.autograd.grad((x * x).sum(), (x, x))
    return a, b


@program
def grad_of_a_view_that_was_used(torch: Any) -> Any:
    x = leaf(torch, [[1.0, 2.0], [3.0, 4.0]])
    h = x * 1.0
    row = h[0]
    y = (row * row).sum() + h.sum()
    return torch.autograd.grad(y, (row, h), retain_graph=True), torch.autograd.grad(y, x)


@program
def grad_of_a_view_made_afterwards(torch: Any) -> Any:
    x = leaf(torch, [[1.0, 2.0], [3.0, 4.0]])
    y = (x * x).sum()
    return error(lambda: torch.autograd.grad(y, x[0])), torch.autograd.grad(y, x[0], allow_unused=True)


@program
def grad_frees_only_what_it_ran(torch: Any) -> Any:
    a, b = leaf(torch, 2.0), leaf(torch, 3.0)
    y = a * a + b * b
    return torch.autograd.grad(y, a), torch.autograd.grad(y, b)


@program
def grad_of_an_intermediate_leaves_its_past_alone(torch: Any) -> Any:
    x = leaf(torch, 2.0)
    h = x * x
    y = h * 3
    first = torch.autograd.grad(y, h)
    h.backward()
    return first, x.grad


@program
def grad_of_an_intermediate_does_not_look_at_its_past(torch: Any) -> Any:
    x = leaf(torch, 2.0)
    h = x * x
    y = h * 3
    torch.autograd.grad(h, x)
    return torch.autograd.grad(y, h), error(lambda: y.backward())


@program
def grad_with_no_inputs_or_odd_ones(torch: Any) -> Any:
    x = leaf(torch, 2.0)
    return (
        error(lambda: torch.autograd.grad(x * x, [])),
        error(lambda: torch.autograd.grad(x * x, torch.ones(()))),
        error(lambda: torch.autograd.grad(torch.ones(()), x)),
        error(lambda: torch.autograd.grad(x * x, 3.0)),
        error(lambda: torch.autograd.grad(3.0, x)),
    )


@program
def grad_outputs_may_be_none_for_scalars(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    v = torch.ones(2, dtype=torch.float64)
    return torch.autograd.grad([x.sum(), x * x], x, [None, v])


@program
def grad_touches_no_other_leaf(torch: Any) -> Any:
    x, w = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
    h = x * w
    h.retain_grad()
    torch.autograd.grad(h.sum(), x)
    return x.grad, w.grad, h.grad


# ---- higher orders
@program
def double_backward(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0, 3.0)
    (g,) = torch.autograd.grad((x**3).sum(), x, create_graph=True)
    (h,) = torch.autograd.grad(g.sum(), x)
    return g, h, x.grad


@program
def triple_backward(torch: Any) -> Any:
    x = leaf(torch, 0.5)
    y, orders = x.sin() * x.exp(), []
    for _ in range(4):
        (y,) = torch.autograd.grad(y, x, create_graph=True)
        orders.append(y)
    return orders


@program
def gradient_penalty(torch: Any) -> Any:
    x, w = leaf(torch, 1.0, 2.0), leaf(torch, 0.3, -0.4)
    y = torch.tanh((x * w).sum())
    (g,) = torch.autograd.grad(y, x, create_graph=True)
    loss = y + (g * g).sum()
    loss.backward()
    return loss, x.grad, w.grad


@program
def create_graph_accumulates_a_graph(torch: Any) -> Any:
    x = leaf(torch, 2.0)
    (x**3).backward(create_graph=True)
    first = x.grad
    (x**2).backward(create_graph=True)
    total = x.grad
    return first, total, torch.autograd.grad(total, x), first is total


@program
def create_graph_then_plain(torch: Any) -> Any:
    x = leaf(torch, 2.0)
    (x**3).backward(create_graph=True)
    g = x.grad
    x.grad = None
    g.backward()
    return g, x.grad


@program
def create_graph_keeps_the_graph(torch: Any) -> Any:
    x = leaf(torch, 2.0)
    y = x**3
    torch.autograd.grad(y, x, create_graph=True)
    a = torch.autograd.grad(y, x)
    return a, error(lambda: torch.autograd.grad(y, x))


@program
def create_graph_with_retain_graph_false(torch: Any) -> Any:
    x = leaf(torch, 2.0)
    y = x**3
    (g,) = torch.autograd.grad(y, x, create_graph=True, retain_graph=False)
    return g, torch.autograd.grad(g, x), error(lambda: torch.autograd.grad(y, x))


@program
def second_order_through_grad_outputs(torch: Any) -> Any:
    x, v = leaf(torch, 1.0, 2.0), leaf(torch, 1.0, 1.0)
    (g,) = torch.autograd.grad(x**3, x, v, create_graph=True)
    (jv,) = torch.autograd.grad(g, v, torch.tensor([1.0, 10.0], dtype=torch.float64))
    return g, jv


@program
def second_derivative_of_a_linear_function_is_unused(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    (g,) = torch.autograd.grad((x * 3).sum(), x, create_graph=True)
    return g, g.requires_grad


@program
def second_backward_notices_a_write_to_the_input(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    (g,) = torch.autograd.grad((x**3).sum(), x, create_graph=True)
    with torch.no_grad():
        x.mul_(2)
    return error(lambda: g.sum().backward()), x.grad


@program
def second_backward_notices_a_write_to_the_other_factor(torch: Any) -> Any:
    x, w = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
    (g,) = torch.autograd.grad((x * w * w).sum(), w, create_graph=True)
    with torch.no_grad():
        x.mul_(2)
    return error(lambda: g.sum().backward()), x.grad, w.grad


@program
def second_backward_notices_a_write_to_the_output(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y = x.exp()
    (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    with torch.no_grad():
        y.mul_(2)
    return error(lambda: g.sum().backward()), x.grad


@program
def second_backward_next_to_a_number(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y = torch.where(x > 1.5, x * x * x, 2.0 * x)
    (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    with torch.no_grad():
        x.add_(1)
    return error(lambda: g.sum().backward()), x.grad


@program
def hessian_by_rows(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0, 3.0)
    (g,) = torch.autograd.grad((x[0] * x[1] * x[2] + (x**3).sum()), x, create_graph=True)
    return [torch.autograd.grad(g[i], x, retain_graph=True)[0] for i in range(3)]


@program
def mixed_orders_in_one_backward(torch: Any) -> Any:
    x, w = leaf(torch, 0.3, 0.6), leaf(torch, 1.0, -1.0)
    (g,) = torch.autograd.grad((x * w).sin().sum(), x, create_graph=True)
    (g * g).sum().backward()
    return x.grad, w.grad


# ---- shapes
@program
def same_tensor_as_both_inputs(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    (x * x + x / x + (x - x)).sum().backward()
    return x.grad


@program
def diamond(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    a = x * 2
    b, c = a.exp(), a.sin()
    (b * c + a).sum().backward()
    return x.grad


@program
def broadcasting_is_undone(torch: Any) -> Any:
    a, b, c = leaf(torch, [[1.0], [2.0]]), leaf(torch, 1.0, 2.0, 3.0), leaf(torch, 4.0)
    (a * b + c).sum().backward()
    return a.grad, b.grad, c.grad


@program
def expanded_views_sum_back(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    weights = torch.arange(6, dtype=torch.float64).reshape(3, 2)
    (x.expand(3, 2) * weights).sum().backward()
    return x.grad


@program
def zero_size(torch: Any) -> Any:
    x = torch.zeros(0, 3, dtype=torch.float64, requires_grad=True)
    w = leaf(torch, 1.0, 2.0, 3.0)
    (x * w).sum().backward()
    (x @ w).sum().backward()
    return x.grad, w.grad


@program
def zero_dim(torch: Any) -> Any:
    x, w = leaf(torch, 3.0), leaf(torch, 1.0, 2.0)
    (x * w * x).sum().backward()
    return x.grad, w.grad


@program
def zero_dim_of_another_type(torch: Any) -> Any:
    x = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * w
    y.sum().backward()
    return y, x.grad, w.grad


@program
def mixed_types_get_gradients_of_their_own_type(torch: Any) -> Any:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    w = leaf(torch, 3.0, 4.0)
    y = x * w
    y.sum().backward()
    return y, x.grad, w.grad


@program
def integers_join_without_gradient(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    n = torch.tensor([3, 4])
    y = x * n
    y.sum().backward()
    return y, x.grad, n.requires_grad, (x > 1).requires_grad, x.argmax().requires_grad


@program
def conversions_pass_gradients(torch: Any) -> Any:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x.double() * 2
    y.sum().backward()
    return y, x.grad, x.long().requires_grad, x.to(torch.float32) is x


@program
def a_detached_part_is_constant(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    (x * x.detach()).sum().backward()
    return x.grad, x.detach().requires_grad, x.detach().is_leaf


@program
def clone_passes_gradients(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y = x.clone()
    y.mul_(3)
    y.sum().backward()
    return x, y, x.grad, x.detach().clone().requires_grad


@program
def a_long_chain(torch: Any) -> Any:
    x = leaf(torch, 1.0)
    y = x
    for _ in range(3000):
        y = y * 1.001
    y.backward()
    return x.grad


@program
def many_uses_of_one_leaf(torch: Any) -> Any:
    x = leaf(torch, 2.0)
    y = sum((x * i for i in range(200)), start=torch.zeros((), dtype=torch.float64))
    y.backward()
    return x.grad


# ---- leaves and flags
@program
def leaves(torch: Any) -> Any:
    x, c = leaf(torch, 1.0, 2.0), torch.ones(2)
    y = x * 2
    with torch.no_grad():
        z = x * 2
    return [(t.is_leaf, t.requires_grad, t.grad_fn is None) for t in (x, c, y, z, x.detach(), c * 2, y.data)]


@program
def requires_grad_flag(torch: Any) -> Any:
    x = torch.ones(2)
    same = x.requires_grad_() is x
    y = x * 2
    return (
        same,
        x.requires_grad,
        y.requires_grad_().requires_grad,
        error(lambda: y.requires_grad_(False)),
        x.requires_grad_(False).requires_grad,
        error(lambda: torch.ones(2, dtype=torch.int64).requires_grad_()),
        error(lambda: torch.ones(2, dtype=torch.bool, requires_grad=True)),
        error(lambda: setattr(y, "requires_grad", False)),
        y.requires_grad,
    )


@program
def a_frozen_leaf_gets_nothing(torch: Any) -> Any:
    x, w = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
    w.requires_grad_(False)
    (x * w).sum().backward()
    return x.grad, w.grad


@program
def a_leaf_frozen_after_the_forward(torch: Any) -> Any:
    x, w = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
    y = (x * w).sum()
    w.requires_grad_(False)
    y.backward()
    return x.grad, w.grad


@program
def a_leaf_frozen_and_thawed(torch: Any) -> Any:
    x, w = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
    y = (x * w).sum()
    w.requires_grad_(False)
    w.requires_grad_(True)
    (g,) = torch.autograd.grad(y, w, retain_graph=True)
    y.backward()
    return x.grad, w.grad, g


@program
def asking_after_the_fact_records_nothing(torch: Any) -> Any:
    x, w = leaf(torch, 1.0, 2.0), torch.tensor([3.0, 4.0], dtype=torch.float64)
    y = (x * w).sum()
    w.requires_grad_()
    y.backward()
    return x.grad, w.grad


@program
def assigning_grad_is_checked(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    x.grad = torch.ones(2, dtype=torch.float64)
    outcomes = [
        error(lambda: setattr(x, "grad", torch.ones(3, dtype=torch.float64))),
        error(lambda: setattr(x, "grad", torch.ones(2, dtype=torch.float32))),
        error(lambda: setattr(x, "grad", 1.0)),
        error(lambda: setattr(x, "grad", x)),
    ]
    kept = x.grad.clone()
    del x.grad
    return outcomes, kept, x.grad


@program
def grad_of_a_result_is_none(torch: Any) -> Any:
    import warnings

    x = leaf(torch, 1.0, 2.0)
    y = x * 2
    y.sum().backward()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return x.grad, y.grad


@program
def retain_grad(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y = x * 2
    before = y.retains_grad
    y.retain_grad()
    y.retain_grad()
    z = y * y
    z.sum().backward()
    return x.grad, y.grad, before, y.retains_grad, x.retains_grad, error(lambda: torch.ones(2).retain_grad())


@program
def retain_grad_adds_up(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y = x * 2
    y.retain_grad()
    (y * 3).sum().backward(retain_graph=True)
    (y * 5).sum().backward()
    return x.grad, y.grad


@program
def retain_grad_of_a_leaf_is_nothing_special(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    x.retain_grad()
    (x * 2).sum().backward()
    return x.grad, x.retains_grad


@program
def retain_grad_does_not_alias(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y = x + 0
    y.retain_grad()
    v = torch.ones(2, dtype=torch.float64)
    y.backward(v)
    v.zero_()
    y.grad.mul_(3)
    return x.grad, y.grad


@program
def retain_grad_with_create_graph(torch: Any) -> Any:
    x = leaf(torch, 2.0)
    y = x * x
    y.retain_grad()
    (y * y).backward(create_graph=True)
    return y.grad, torch.autograd.grad(y.grad, x)


@program
def retained_grad_is_what_hooks_left(torch: Any) -> Any:
    results = []
    for first in (True, False):
        x = leaf(torch, 1.0, 2.0)
        y = x * 2
        if first:
            y.retain_grad()
        y.register_hook(lambda g: g * 10)
        if not first:
            y.retain_grad()
        y.sum().backward()
        results.append((x.grad, y.grad))
    return results


@program
def variable_is_the_old_name(torch: Any) -> Any:
    Variable = torch.autograd.Variable
    data = torch.tensor([1.0, 2.0])
    x, c = Variable(data, requires_grad=True), Variable(data)
    (x * c).sum().backward()
    return x.requires_grad, c.requires_grad, x.grad, x.is_leaf, isinstance(x, Variable), isinstance(2.0, Variable), x is data


@program
def variable_shares_memory(torch: Any) -> Any:
    data = torch.tensor([1.0, 2.0])
    x = torch.autograd.Variable(data, requires_grad=True)
    data[0] = 5
    return x, data.requires_grad


# ---- modes
@program
def no_grad_as_a_context(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    states = [torch.is_grad_enabled()]
    with torch.no_grad():
        states.append(torch.is_grad_enabled())
        y = x * 2
        with torch.enable_grad():
            states.append(torch.is_grad_enabled())
            z = x * 2
        states.append(torch.is_grad_enabled())
    states.append(torch.is_grad_enabled())
    return states, y.requires_grad, z.requires_grad, error(lambda: y.sum().backward()), x.grad


def warned(act: Any) -> list[tuple[str, bool]]:
    """Return the categories of what an action warns of, and whether each says what to do."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        act()
    return [(w.category.__name__, "retain_grad" in str(w.message) or "Decorat" in str(w.message)) for w in caught]


@program
def what_is_warned_of(torch: Any) -> Any:
    class Plain:
        def __init__(self) -> None:
            self.recording = torch.is_grad_enabled()

    x = torch.ones(1, requires_grad=True)
    y, z = x * 2, x * 3
    z.retain_grad()
    made: list[Any] = []
    said = [warned(lambda: made.append(torch.no_grad()(Plain))), warned(lambda: y.grad), warned(lambda: z.grad), warned(lambda: x.grad)]
    z.sum().backward()
    return said, made[0]().recording, warned(lambda: z.grad)


@program
def no_grad_as_a_decorator(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)

    @torch.no_grad()
    def quiet(t: Any) -> Any:
        return t * 2

    @torch.no_grad
    def bare(t: Any) -> Any:
        return t * 2

    @torch.enable_grad()
    def loud(t: Any) -> Any:
        return t * 2

    with torch.no_grad():
        inside = loud(x).requires_grad
    return quiet(x).requires_grad, bare(x).requires_grad, inside, quiet(x).requires_grad, torch.is_grad_enabled()


@program
def no_grad_ends_on_an_exception(torch: Any) -> Any:
    def fail() -> None:
        with torch.no_grad():
            raise ValueError

    @torch.no_grad()
    def fail_too() -> None:
        raise KeyError

    return error(fail), torch.is_grad_enabled(), error(fail_too), torch.is_grad_enabled()


@program
def no_grad_on_a_generator(torch: Any) -> Any:
    seen = []

    @torch.no_grad()
    def numbers() -> Any:
        for i in range(3):
            seen.append(torch.is_grad_enabled())
            yield i
        return "end"

    outside = []
    for _ in numbers():
        outside.append(torch.is_grad_enabled())
    return seen, outside, torch.is_grad_enabled()


@program
def a_generator_is_sent_to_thrown_at_and_closed(torch: Any) -> Any:
    log = []

    @torch.no_grad()
    def talk() -> Any:
        try:
            got = yield 1
            log.append((got, torch.is_grad_enabled()))
            try:
                yield 2
            except KeyError:
                log.append(("caught", torch.is_grad_enabled()))
            yield 3
        finally:
            log.append(("closed", torch.is_grad_enabled()))

    g = talk()
    values = [next(g), g.send("hello"), g.throw(KeyError("x"))]
    g.close()
    return values, log, torch.is_grad_enabled()


@program
def a_generator_changes_the_mode_inside(torch: Any) -> Any:
    @torch.enable_grad()
    def loud() -> Any:
        yield torch.is_grad_enabled()
        yield torch.is_grad_enabled()

    with torch.no_grad():
        seen = [(v, torch.is_grad_enabled()) for v in loud()]
    return seen


@program
def set_grad_enabled_in_all_forms(torch: Any) -> Any:
    x, states = leaf(torch, 1.0, 2.0), []
    torch.set_grad_enabled(False)
    states.append((x * 2).requires_grad)
    torch.set_grad_enabled(True)
    states.append((x * 2).requires_grad)
    with torch.set_grad_enabled(False):
        states.append((x * 2).requires_grad)
    states.append((x * 2).requires_grad)

    @torch.set_grad_enabled(False)
    def quiet(t: Any) -> Any:
        return t * 2

    states.append(torch.is_grad_enabled())
    states.append(quiet(x).requires_grad)
    states.append(torch.is_grad_enabled())
    for flag in (True, False):
        with torch.set_grad_enabled(flag):
            states.append((x * 2).requires_grad)
    return states


@program
def one_switch_used_twice(torch: Any) -> Any:
    switch, states = torch.no_grad(), []
    for _ in range(2):
        with switch:
            states.append(torch.is_grad_enabled())
        states.append(torch.is_grad_enabled())
    return states


@program
def inference_mode(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    with torch.inference_mode():
        y = x * 2
        flags = [torch.is_grad_enabled(), torch.is_inference_mode_enabled(), y.is_inference(), y.requires_grad]
        y.add_(1)
        with torch.inference_mode(False):
            flags += [torch.is_grad_enabled(), torch.is_inference_mode_enabled(), (x * 2).requires_grad]
    return (
        flags,
        y.tolist(),
        torch.is_inference_mode_enabled(),
        error(lambda: x * y),
        error(lambda: y.requires_grad_()),
        error(lambda: y.add_(1)),
        error(lambda: torch.mul(x.detach(), 2, out=y)),
        error(lambda: y._version),
        (x + y).requires_grad,
        (x * y.clone()).requires_grad,
    )


@program
def inference_mode_as_a_decorator(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)

    @torch.inference_mode()
    def f(t: Any) -> Any:
        return t * 2

    @torch.inference_mode
    def g(t: Any) -> Any:
        return t * 2

    return f(x).is_inference(), g(x).is_inference(), torch.is_inference_mode_enabled()


@program
def backward_runs_under_no_grad(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y = (x**3).sum()
    with torch.no_grad():
        (g,) = torch.autograd.grad(y, x, create_graph=True)
        flag = torch.is_grad_enabled()
    return g, g.requires_grad, flag, torch.is_grad_enabled()


@program
def backward_restores_the_mode_after_an_error(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y = (x * x).sum()

    def fail(g: Any) -> None:
        raise ValueError

    x.register_hook(fail)
    return error(y.backward), torch.is_grad_enabled(), x.grad


# ---- hooks
@program
def a_hook_sees_the_gradient(torch: Any) -> Any:
    x, seen = leaf(torch, 1.0, 2.0), []
    y = x * x
    y.register_hook(lambda g: seen.append(g.clone()))
    (y * 3).sum().backward()
    return seen, x.grad


@program
def a_hook_replaces_the_gradient(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y = x * x
    y.register_hook(lambda g: g * 10)
    y.register_hook(lambda g: g + 1)
    y.sum().backward()
    return x.grad


@program
def a_hook_is_removed(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    handle = x.register_hook(lambda g: g * 10)
    (x * 2).sum().backward()
    handle.remove()
    handle.remove()
    (x * 2).sum().backward()
    return x.grad


@program
def a_hook_handle_is_a_context(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    with x.register_hook(lambda g: g * 10):
        (x * 2).sum().backward()
    (x * 2).sum().backward()
    return x.grad


@program
def a_leaf_hook_runs_once_with_the_sum(torch: Any) -> Any:
    x, seen = leaf(torch, 1.0, 2.0), []
    x.register_hook(lambda g: seen.append(g.clone()))
    (x * x + x * 3 + x.exp()).sum().backward()
    return seen, x.grad


@program
def a_hook_removes_itself(torch: Any) -> Any:
    x, calls, handles = leaf(torch, 1.0, 2.0), [], []

    def once(g: Any) -> None:
        calls.append(1)
        handles[0].remove()

    handles.append(x.register_hook(once))
    x.register_hook(lambda g: calls.append(2))
    for _ in range(2):
        (x * 2).sum().backward()
    return calls


@program
def a_hook_on_what_needs_no_gradient(torch: Any) -> Any:
    return error(lambda: torch.ones(2).register_hook(lambda g: g))


@program
def a_kept_gradient_of_a_hook_stays_as_it_was(torch: Any) -> Any:
    x, kept = leaf(torch, 1.0, 2.0), []
    x.register_hook(lambda g: kept.append(g))
    (x * x).sum().backward()
    (x * x).sum().backward()
    x.grad.zero_()
    return kept, x.grad


@program
def what_a_hook_returns_is_not_taken_over(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    mine = torch.tensor([7.0, 8.0], dtype=torch.float64)
    x.register_hook(lambda g: mine)
    (x * x).sum().backward()
    (x * x).sum().backward()
    return x.grad, mine


@program
def what_a_hook_returns_on_the_way_is_not_taken_over(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    mine = torch.tensor([7.0, 8.0], dtype=torch.float64)
    y = x + 0
    y.register_hook(lambda g: mine)
    for _ in range(2):
        y.sum().backward()
    return x.grad, mine


@program
def a_node_hook_does_not_give_its_memory_away(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    mine = torch.tensor([7.0, 8.0], dtype=torch.float64)
    y = x + 0
    y.grad_fn.register_hook(lambda inputs, outputs: (mine, *inputs[1:]))
    for _ in range(2):
        y.sum().backward()
    return x.grad, mine


@program
def hooks_and_autograd_grad(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    x.register_hook(lambda g: g * 10)
    y = x * x
    y.register_hook(lambda g: g + 1)
    z = y.sum()
    return torch.autograd.grad(z, x, retain_graph=True), torch.autograd.grad(z, y), x.grad


@program
def a_hook_of_second_order(torch: Any) -> Any:
    x = leaf(torch, 2.0)
    y = x * x
    y.register_hook(lambda g: g * g)
    (g,) = torch.autograd.grad(y * y, x, create_graph=True)
    return g, torch.autograd.grad(g, x)


@program
def grad_mode_inside_hooks(torch: Any) -> Any:
    x, seen = leaf(torch, 1.0), []
    x.register_hook(lambda g: seen.append((torch.is_grad_enabled(), g.requires_grad)))
    (x * x).backward()
    (x * x).backward(create_graph=True)
    return seen


@program
def post_accumulate_hooks(torch: Any) -> Any:
    x, seen = leaf(torch, 1.0, 2.0), []
    handle = x.register_post_accumulate_grad_hook(lambda t: seen.append((t is x, t.grad.clone())))
    (x * x).sum().backward()
    (x * x).sum().backward()
    handle.remove()
    (x * x).sum().backward()
    y = x * 2
    return seen, x.grad, error(lambda: y.register_post_accumulate_grad_hook(print))


@program
def a_post_accumulate_hook_may_step_and_clear(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)

    def step(t: Any) -> None:
        with torch.no_grad():
            t.sub_(t.grad, alpha=0.1)
        t.grad = None

    x.register_post_accumulate_grad_hook(step)
    for _ in range(3):
        (x * x).sum().backward()
    return x, x.grad


@program
def post_accumulate_hooks_do_not_run_for_grad(torch: Any) -> Any:
    x, seen = leaf(torch, 1.0, 2.0), []
    x.register_post_accumulate_grad_hook(lambda t: seen.append(1))
    torch.autograd.grad((x * x).sum(), x)
    return seen


@program
def node_hooks(torch: Any) -> Any:
    x, seen = leaf(torch, 1.0, 2.0), []
    y = x * x
    h = y.grad_fn.register_hook(
        lambda inputs, outputs: seen.append(([i.clone() for i in inputs], [o.clone() for o in outputs]))
    )
    (y * 3).sum().backward(retain_graph=True)
    h.remove()
    (y * 3).sum().backward()
    return seen, x.grad


@program
def node_hooks_replace(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y = x.exp()
    y.grad_fn.register_hook(lambda inputs, outputs: (inputs[0] * 0 + 5,))
    y.sum().backward()
    return x.grad


@program
def node_prehooks(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y = x * 2
    y.grad_fn.register_prehook(lambda outputs: (outputs[0] * 10,))
    y.sum().backward()
    return x.grad


@program
def tensor_hooks_run_before_node_prehooks(torch: Any) -> Any:
    x, order = leaf(torch, 1.0, 2.0), []
    y = x * 2
    y.grad_fn.register_prehook(lambda outputs: order.append("node pre"))
    y.register_hook(lambda g: order.append("tensor"))
    y.grad_fn.register_hook(lambda inputs, outputs: order.append("node"))
    x.register_hook(lambda g: order.append("leaf"))
    x.register_post_accumulate_grad_hook(lambda t: order.append("post"))
    y.sum().backward()
    return order


@program
def hooks_on_the_accumulator(torch: Any) -> Any:
    x, seen = leaf(torch, 1.0, 2.0), []
    y = x * 2
    end = y.grad_fn.next_functions[0][0]
    end.register_prehook(lambda g: seen.append("pre"))
    end.register_hook(lambda inputs, outputs: seen.append(("post", x.grad.clone())))
    y.sum().backward()
    return seen, x.grad, end.variable is x


@program
def a_backward_inside_a_hook(torch: Any) -> Any:
    x, w = leaf(torch, 1.0, 2.0), leaf(torch, 3.0)

    def more(g: Any) -> Any:
        with torch.enable_grad():
            (w * w).backward()
        return g * 2

    y = x * x
    y.register_hook(more)
    y.sum().backward()
    return x.grad, w.grad


@program
def a_backward_of_the_same_leaf_inside_a_hook(torch: Any) -> Any:
    x = leaf(torch, 3.0)

    def more(g: Any) -> None:
        with torch.enable_grad():
            (x * 10).backward()

    y = x * x
    y.register_hook(more)
    y.backward()
    return x.grad


@program
def a_raising_hook_leaves_earlier_work(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y = x * x

    def fail(g: Any) -> None:
        raise ZeroDivisionError

    handle = y.register_hook(fail)
    z = y.sum()
    first = error(lambda: z.backward(retain_graph=True)), x.grad
    handle.remove()
    z.backward()
    return first, x.grad


@program
def a_hook_returning_something_else(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y = x * x
    y.register_hook(lambda g: 3.0)
    return error(lambda: y.sum().backward()), x.grad


@program
def a_hook_returning_another_shape(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y = x * x
    y.register_hook(lambda g: torch.ones(3, dtype=torch.float64))
    return error(lambda: y.sum().backward()), x.grad


@program
def a_hook_on_a_leaf_returning_another_shape(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    x.register_hook(lambda g: torch.ones(3, dtype=torch.float64))
    return error(lambda: (x * x).sum().backward()), x.grad


@program
def hooks_of_a_view_and_its_base(torch: Any) -> Any:
    x, seen = leaf(torch, 1.0, 2.0, 3.0), []
    y = x * 2
    v = y[1:]
    v.register_hook(lambda g: seen.append(("view", g.clone())))
    y.register_hook(lambda g: seen.append(("base", g.clone())))
    (v * v).sum().backward()
    return seen, x.grad


# ---- graphs one can walk
def names(node: Any, depth: int = 9) -> Any:
    if node is None or not depth:
        return None
    return [node.name(), [(names(n, depth - 1), i) for n, i in node.next_functions]]


@program
def node_names(torch: Any) -> Any:
    x, w, m = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0), leaf(torch, [[1.0, 2.0], [3.0, 4.0]])
    results = [
        x + w, x - w, x * w, x / w, -x, x**2, x**w, 2**x, 1 - x, x.exp(), x.log(), x.sin(), x.cos(), x.tanh(),
        x.sigmoid(),
        x.sqrt(), x.abs(), x.sum(), x.sum(0), x.mean(), x.mean(0), x.max(), x.min(), x.prod(), m @ m, m @ x, x @ x,
        m.t(),
        m.T, m.transpose(0, 1), m.reshape(4), m.view(4), m[0], m[:, 1], m[0, 1], x[x > 1], m.expand(3, 2, 2), x.clone(),
        torch.cat([x, w]), torch.stack([x, w]), x.unsqueeze(0), m.unsqueeze(0).squeeze(0), torch.where(x > 1, x, w),
        x.relu(), x.clamp(0, 1), torch.maximum(x, w), x.double(), x.float(), x.log_softmax(0), x.softmax(0), x.norm(),
        m.permute(1, 0), x.cumsum(0), m.diagonal(), m.flatten(), x.std(), x.var(), x.log1p(), x.expm1(), x.erf(),
        x.rsqrt(),
        x.reciprocal(), x.square(), x.atan2(w), x.flip(0), m.gather(0, torch.tensor([[0, 1]])),
        x.masked_fill(x > 1, 0.0),
    ]  # fmt: skip
    return [None if y.grad_fn is None else y.grad_fn.name() for y in results]


@program
def a_graph_is_walked(torch: Any) -> Any:
    x, w = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
    c = torch.ones(2, dtype=torch.float64)
    y = ((x * w + c).exp() * 2).sum()
    return names(y.grad_fn)


@program
def the_end_of_the_graph_knows_its_leaf(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    node, index = (x * 2).grad_fn.next_functions[0]
    return node.variable is x, index, node.name(), node.next_functions, (x * 3).grad_fn.next_functions[0][0] is node


@program
def graph_metadata(torch: Any) -> Any:
    x = leaf(torch, 1.0, 2.0)
    y = x * 2
    y.grad_fn.metadata["note"] = "mine"
    return y.grad_fn.metadata, y.output_nr, (y + 1).grad_fn.next_functions[0][0] is y.grad_fn


@program
def version_counters(torch: Any) -> Any:
    x = torch.zeros(3)
    counts = [x._version]
    x.add_(1)
    x[0] = 5
    v = x[1:]
    v.mul_(2)
    d = x.detach()
    d.zero_()
    counts += [x._version, v._version, d._version]
    x.data.add_(1)
    counts += [x._version, (x * 1)._version, x.clone()._version]
    return counts


def test_the_table_is_large() -> None:
    assert len(PROGRAMS) >= 60


@program
def names_tell_numbers_from_tensors(torch: Any) -> Any:
    x, y = leaf(torch, 1.5, 2.5), leaf(torch, 2.0, 3.0)
    made = [
        torch.copysign(x, 2.0), torch.copysign(x, y), x.copysign(-1), torch.round(x), torch.round(x, decimals=0),
        torch.round(x, decimals=2), x % 5, x % y, torch.remainder(x, 2), torch.remainder(x, y), 5 - x, torch.rsub(x, 5),
        torch.rsub(x, y), x.__rsub__(y), torch.xlogy(x, 2.0), torch.xlogy(2.0, x), torch.xlogy(x, y), x.clone().copysign_(2),
        x.clone().remainder_(2), x.clone().remainder_(y), x.fmod(2), x.fmod(y), 2**x, x**2, x**y,
    ]  # fmt: skip
    return [(m, m.grad_fn.name()) for m in made]


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name: str) -> None:
    assert PROGRAMS.compare(name, wengert) == []


@pytest.mark.parity
@pytest.mark.parametrize("name", PROGRAMS)
def test_program_against_torch(name: str) -> None:
    assert PROGRAMS.compare_live(name, wengert, pytest.importorskip("torch")) == []


# ---- wengert alone
def test_grad_modes_are_per_thread() -> None:
    seen: list[bool] = []
    with wengert.no_grad():
        thread = threading.Thread(target=lambda: seen.append(wengert.is_grad_enabled()))
        thread.start()
        thread.join()
        assert not wengert.is_grad_enabled()
    assert seen == [True]


def test_what_grad_returns_shares_no_memory() -> None:
    """A gradient that nobody else holds is given as it is, any other is copied: the caller may write to it."""
    a, b = leaf(wengert, 1.0, 2.0), leaf(wengert, 3.0, 4.0)
    v, kept = wengert.tensor([1.0, 1.0], dtype=wengert.float64), list[wengert.Tensor]()
    made = {
        "the given one": wengert.autograd.grad(a + 1, a, v),
        "one for both": wengert.autograd.grad((a + b) * 3, [a, b], v),
        "twice the same": wengert.autograd.grad(a * 2, [a, a], v),
        "a result that is kept": wengert.autograd.grad(y := a.exp(), a, v, retain_graph=True),
        "of a view": wengert.autograd.grad((a * b).view(2, 1), [a, b], v.view(2, 1)),
    }
    a.register_hook(lambda g: kept.append(g))
    made["seen by a hook"] = wengert.autograd.grad(a * b, a, v)
    grads = [g for grads in made.values() for g in grads]
    places = [x.data_ptr() for x in (*grads, v, a, b, y, *kept)]
    assert len(set(places)) == len(places) and all(g._base is None and g.is_contiguous() for g in grads)
    x = wengert.ones(1000, requires_grad=True)
    arrays = list[Any]()

    class Noted(wengert.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            made = g * 2
            arrays.append(made.data_ptr())
            return made

    (g,) = wengert.autograd.grad(Noted.apply(x).sum(), x)
    assert arrays == [g.data_ptr()]


assert itertools
