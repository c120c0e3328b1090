"""Walk from a loss to the leaves and write the graph down for Graphviz: names of nodes, parameters, what is kept."""

import torch


def size(tensor):
    return "(" + ", ".join(str(n) for n in tensor.size()) + ")"


def kept(fn):
    """What a node keeps for backward, by name."""
    found = {}
    for attribute in dir(fn):
        if attribute.startswith("_saved_"):
            value = getattr(fn, attribute)
            if torch.is_tensor(value):
                found[attribute[len("_saved_") :]] = value
    return found


def dot(result, params, show_saved=False):
    """Return the lines of a digraph of everything that a result was computed from."""
    names = {id(p): name for name, p in params.items()}
    numbers, lines = {}, []

    def number(x):
        return numbers.setdefault(id(x), f"n{len(numbers)}")

    def line(x, label, color):
        lines.append(f"{number(x)} [{label} {color}]")

    def label(tensor, name=None):
        return f"{name or names.get(id(tensor), '')} {size(tensor)}"

    alive, seen, stack = [], set(), [(result.grad_fn, None)]
    line(result, label(result), "darkolivegreen1")
    lines.append(f"{number(result.grad_fn)} -> {number(result)}")
    while stack:
        fn, above = stack.pop()
        if above is not None:
            lines.append(f"{number(fn)} -> {number(above)}")
        if fn in seen:
            continue
        seen.add(fn)
        line(fn, str(type(fn).__name__), "")
        if show_saved:
            for name, value in sorted(kept(fn).items()):
                alive.append(value)  # or another would get its id
                line(value, label(value, name), "orange")
        if hasattr(fn, "variable"):
            line(fn.variable, label(fn.variable), "lightblue")
            lines.append(f"{number(fn.variable)} -> {number(fn)}")
        if hasattr(fn, "next_functions"):
            stack += [(u[0], fn) for u in reversed(fn.next_functions) if u[0] is not None]
        if hasattr(fn, "saved_tensors"):
            for t in fn.saved_tensors:
                alive.append(t)
                line(t, label(t), "orange")
    return lines


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 3 * x * x * g


w = torch.full((3, 2), 0.5, requires_grad=True)
b = torch.zeros(2, requires_grad=True)
x = torch.arange(12.0).reshape(4, 3) / 12
hidden = torch.tanh(x @ w + b)
loss = (torch.exp(hidden) * Cube.apply(hidden)).pow(2).sum() / 2
for text in dot(loss, {"w": w, "b": b}):
    print(text)
small = (torch.exp(b) * torch.sigmoid(b)).sum()
for text in dot(small, {"b": b}, show_saved=True):
    print(text)


def depth(fn):
    return 1 + max([depth(u) for u, _ in fn.next_functions if u is not None], default=0)


kinds = {}
stack = [loss.grad_fn]
while stack:
    fn = stack.pop()
    kinds[type(fn)] = kinds.get(type(fn), 0) + 1
    stack += [u for u, _ in fn.next_functions if u is not None]
print(depth(loss.grad_fn), sorted((kind.__name__, count) for kind, count in kinds.items()))
loss.backward()
print(w.grad.sum().item(), type(loss.grad_fn) is type((b / 2).grad_fn), str(type(loss.grad_fn)))
try:
    torch.exp(b).sum().backward(), loss.grad_fn.next_functions[0][0].next_functions[0][0]._saved_self
except RuntimeError as error:
    print("RuntimeError", "freed" in str(error))
