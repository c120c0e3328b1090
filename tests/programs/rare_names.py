"""Names that few programs use: reductions of segments, elements in Python, trees, mapped files, orders of dims."""

import os
import tempfile

import torch
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

data = torch.arange(12.0).reshape(6, 2).requires_grad_()
lengths = torch.tensor([2, 0, 3, 1])
for reduce in ("sum", "mean", "max", "min", "prod"):
    made = torch.segment_reduce(data, reduce, lengths=lengths, initial=1.5)
    print(reduce, made, torch.autograd.grad(made[lengths > 0].sum(), data)[0], torch.segment_reduce(data.detach(), reduce, lengths=lengths))
    print(torch.segment_reduce(data.detach().T.contiguous(), reduce, offsets=torch.tensor([0, 2, 2, 5, 6]).expand(2, 5), axis=1))
for wrong in (
    lambda: torch.segment_reduce(data, "sum", lengths=torch.tensor([1, 2])),
    lambda: torch.segment_reduce(data, "sum"),
):
    try:
        wrong()
    except RuntimeError as error:
        print(type(error).__name__)
x = torch.arange(6).view(2, 3)
print(x.clone().apply_(lambda v: v * 2 + 1), x.clone().map_(x + 1, lambda a, b: a * b), torch.detach(x), torch.get_device(x))
print(x.dim_order(), x.T.dim_order(), torch.is_signed(x), torch.is_same_size(x, x.T), x.to_dense() is x)
z = x.float()
print(torch.norm_except_dim(z, 2, 0), torch.nuclear_norm(z), torch.frobenius_norm(z, dim=(0, 1)))
print(torch.cond(torch.tensor(True), lambda v: v.sin(), lambda v: v.cos(), (z,)))
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "numbers")
    torch.from_file(path, shared=True, size=4).fill_(2.0)
    print(torch.from_file(path, size=3), os.path.getsize(path))
tree = {"b": torch.ones(1), "a": [torch.zeros(1), (2, None)]}
leaves, spec = tree_flatten(tree)
print(leaves, tree_unflatten([1] * len(leaves), spec), tree_map(lambda v: v, tree), spec.num_leaves)
print(torch.frexp(torch.tensor([3.0, 5.0])), torch.inner(z, torch.tensor(2)), torch.histogram(z, 3, range=(0.0, 6.0)))
print(torch.empty(2, device="meta", dtype=torch.long), torch.ones(2, dtype=float), torch.zeros(1).to(complex), torch.arange(3).sum(dtype=float))
s = torch.special
n = torch.tensor([0.0, 2.0, float("inf"), float("nan"), -3.0])
print(s.chebyshev_polynomial_t(torch.tensor(0.3), n), s.legendre_polynomial_p(torch.tensor(0.3), n), s.chebyshev_polynomial_w(torch.tensor(0.3), n))
c = torch.tensor([1 + 2j, -3j])
for act in (lambda: c > 0, lambda: c.clamp(0), lambda: torch.maximum(c, c), lambda: c.sign(), lambda: torch.relu(c), lambda: s.i0e(z, z)):
    try:
        print(act())
    except (RuntimeError, TypeError) as error:
        print("refused:", isinstance(error, TypeError))
