"""What tutorials print: tensor basics, NumPy bridge, printing options, dtype and device queries, in-place rules, views, random API shapes, error types."""

import math

import numpy as np
import torch

torch.set_printoptions(precision=3, edgeitems=2, linewidth=90)
data = [[1, 2], [3, 4]]
x_data = torch.tensor(data)
np_array = np.array(data)
x_np = torch.from_numpy(np_array)
x_ones = torch.ones_like(x_data)
print(f"Ones Tensor: \n {x_ones} \n", x_np.dtype, x_data.dtype, torch.zeros_like(x_data, dtype=torch.float))
tensor = torch.ones(4, 4)
print(
    f"Shape of tensor: {tensor.shape}\nDatatype: {tensor.dtype}\nDevice: {tensor.device} {tensor.layout} {tensor.is_contiguous()}"
)
tensor[:, 1] = 0
print(tensor, tensor[..., -1], tensor[0][1].item(), torch.cat([tensor, tensor], dim=1).shape)
y1 = tensor @ tensor.T
y3 = torch.rand_like(y1)
torch.matmul(tensor, tensor.T, out=y3)
print(torch.equal(y1, y3), (tensor * tensor).sum(), tensor.add_(5)[0], tensor.mul(2).max())
t = torch.ones(5)
n = t.numpy()
t.add_(1)
print(n, np.add(n, 1, out=n), t, np.asarray(t), np.sin(t).dtype, torch.tensor(n).sum())
a = torch.arange(24).reshape(2, 3, 4)
print(
    a.stride(),
    a.transpose(0, 2).stride(),
    a.permute(2, 0, 1).shape,
    a.flatten(1).shape,
    a.view(-1, 4)[1],
    a.T.shape if a.dim() == 2 else a.mT.shape,
)
try:
    a.transpose(0, 1).view(-1)
except RuntimeError as e:
    print("RuntimeError", str(e)[:40])
print(
    a.unsqueeze(-1).squeeze(0).shape,
    a[None].shape,
    a[:, :, ::2].tolist(),
    a[a > 20],
    a[[0, 1], [1, 2]],
    a[0, :, [1, 3]].shape,
    a.select(1, 0).shape,
)
print(
    a.float().mean((0, 2)),
    a.sum(),
    a.max(-1).values,
    a.max(dim=0),
    a.float().std(dim=2, unbiased=False),
    a.argmax(),
    a.prod(-1),
    a.cumsum(1)[0],
)
print(
    torch.stack([a[0], a[1]]).equal(a),
    torch.chunk(a, 2, -1)[1].shape,
    [s.shape for s in a.split([1, 3], dim=2)],
    a.unbind(1)[0].shape,
    a.narrow(1, 1, 2).shape,
)
print(
    torch.where(a % 2 == 0, a, -a)[0, 0],
    a.clamp(5, 9)[0],
    a.eq(3).any(),
    (a >= 0).all(),
    a.masked_fill(a > 3, 0).sum(),
    a.nonzero()[:2].tolist(),
)
f = torch.tensor([1.5, float("nan"), float("inf"), -2.0])
print(
    f,
    torch.isnan(f),
    torch.isfinite(f),
    torch.nan_to_num(f, nan=0.0, posinf=9),
    f.nansum(),
    f.abs(),
    f.sign(),
    f.round(),
    f.trunc(),
    f.frac(),
)
print(
    torch.tensor([1e-8, 1.0]),
    torch.tensor([1e8, 1.0]),
    torch.tensor([[0.1234567, 100000.0]]),
    torch.tensor(3.14159),
    torch.tensor([]),
    torch.tensor([True, False]),
)
print(
    torch.arange(2000),
    torch.zeros(50, 50),
    torch.ones(2, 0, 3),
    torch.tensor([1 + 2j]),
    torch.tensor(5, dtype=torch.uint8),
    torch.tensor([0.1], dtype=torch.half),
)
print(
    repr(torch.Size([2, 3])),
    torch.Size([2, 3]).numel(),
    torch.device("cpu", 0),
    torch.float32,
    torch.finfo(torch.float32).eps,
    torch.iinfo(torch.int8).max,
)
print(
    (torch.ones(2, dtype=torch.int32) + 1.5).dtype,
    (torch.ones(2, dtype=torch.half) * torch.ones(2)).dtype,
    torch.result_type(torch.ones(1, dtype=torch.int8), 3),
    torch.can_cast(torch.float, torch.int),
)
print(
    torch.tensor([1, 2, 3]) / 2,
    torch.tensor([7, -7]) // 2,
    torch.tensor([7, -7]) % 3,
    torch.div(torch.tensor([7, -7]), 2, rounding_mode="trunc"),
    2 ** torch.arange(4),
    -torch.arange(3),
    ~torch.tensor([True]),
    torch.tensor([6]) & 3,
)
s = torch.tensor([3, 1, 2])
print(
    s.sort(descending=True),
    s.argsort(),
    torch.topk(s, 2),
    s.unique(),
    torch.tensor([1, 1, 2]).unique(return_inverse=True, return_counts=True),
    s.flip(0),
    s.roll(1),
    s.median(),
    s.mode(),
)
print(
    torch.einsum("ij,jk->ik", torch.ones(2, 3), torch.ones(3, 2)),
    torch.tensordot(torch.ones(2, 3), torch.ones(3, 4), dims=1).shape,
    torch.outer(s.float(), s.float())[0],
    torch.dot(s, s),
    torch.linalg.norm(s.float()),
    torch.triu(torch.ones(3, 3), 1)[0],
)
g = torch.zeros(3, 5).scatter_(0, torch.tensor([[0, 1, 2, 0, 0]]), torch.arange(1.0, 6.0).view(1, 5))
print(
    g,
    torch.gather(g, 1, torch.tensor([[0], [1], [2]])),
    g.index_select(1, torch.tensor([0, 4])),
    g.take(torch.tensor([0, 6])),
    torch.take_along_dim(g, g.argsort(1), 1)[0],
)
e = torch.tensor([[1.0], [2.0]]).expand(2, 3)
print(
    e,
    e.is_contiguous(),
    e.contiguous().stride(),
    e.repeat(1, 2).shape,
    torch.repeat_interleave(torch.tensor([1, 2]), torch.tensor([2, 1])),
    torch.tile(s, (2,)),
    torch.broadcast_to(s, (2, 3)).shape,
)
torch.manual_seed(0)
r1 = torch.rand(3)
torch.manual_seed(0)
print(
    torch.equal(r1, torch.rand(3)),
    torch.randint(3, 10, (2, 2)).shape,
    torch.randperm(5).sort()[0],
    torch.normal(torch.zeros(3), torch.ones(3)).shape,
    torch.bernoulli(torch.ones(3)),
    torch.empty(3).uniform_(1, 2).min() >= 1,
    torch.initial_seed(),
)
for bad in (
    lambda: torch.ones(2, 3) @ torch.ones(2, 3),
    lambda: torch.ones(3) + torch.ones(4),
    lambda: torch.ones(2).view(3),
    lambda: torch.tensor([1, 2]).mean(),
    lambda: torch.ones(2, 2).item(),
    lambda: torch.cat([torch.ones(2, 2), torch.ones(3, 3)]),
    lambda: torch.ones(3)[5],
    lambda: torch.tensor("a"),
    lambda: torch.ones(2, 3).squeeze(5),
    lambda: bool(torch.ones(2)),
    lambda: torch.tensor([1, 2], requires_grad=True),
    lambda: torch.ones(2, requires_grad=True).numpy(),
    lambda: torch.stack([torch.ones(1), torch.ones(2)]),
    lambda: torch.zeros(2).int().exp_(),
    lambda: torch.linalg.inv(torch.zeros(2, 2)),
    lambda: torch.linalg.cholesky(-torch.eye(2)),
    lambda: torch.nn.Linear(2, 3)(torch.ones(1, 3)),
    lambda: torch.nn.functional.cross_entropy(torch.ones(2, 3), torch.tensor([0, 3])),
    lambda: torch.nn.functional.one_hot(torch.tensor([3]), 2),
    lambda: torch.nn.Embedding(3, 2)(torch.tensor([3])),
    lambda: torch.nn.Conv2d(1, 1, 3)(torch.ones(1, 2, 5, 5)),
    lambda: torch.ones(2).unfold(0, 3, 1),
):
    try:
        bad()
        print("nothing")
    except Exception as error:
        print(type(error).__name__.lstrip("_"))
print(
    math.isclose(torch.pi, math.pi),
    torch.inf,
    len(torch.ones(3)),
    list(torch.ones(2)),
    float(torch.tensor(2)),
    int(torch.tensor(2.9)),
    f"{torch.tensor(1.23456):.2f}",
    torch.tensor([1, 2]).tolist(),
    3 in torch.tensor([1, 3]),
)
i = torch.tensor([5.0, 1.0])
i.data[0] = 7
i.copy_(torch.tensor([1, 2]))
i[i > 1] += 3
i.zero_().fill_(2).sub_(1).pow_(3).clamp_(max=0.5)
print(
    i,
    i.element_size(),
    i.nbytes,
    i.type(),
    i.type(torch.int64).dtype,
    i.to("cpu", torch.double).dtype,
    i.new_full((2,), 3.0),
    i.is_floating_point(),
    i.ndim,
    i.nelement(),
    i.storage_offset(),
    hash(i) == hash(i),
)
