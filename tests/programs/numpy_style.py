"""NumPy habits: axis and keepdims, interchange, indexing, printing, shapes, reductions, sorting, dtypes."""

import numpy as np
import torch

x = torch.arange(24.0).reshape(2, 3, 4)
print(x.sum(axis=1).shape, x.mean(axis=(0, 2)).tolist(), x.std(axis=-1)[0].tolist(), x.max(axis=2)[0].tolist(), x.argmax(axis=0).sum())
print(torch.sum(x, axis=0, keepdims=True).shape, torch.var(x, axis=1).shape, torch.cumsum(x, axis=-1)[0, 0].tolist(), torch.softmax(x, axis=-1)[0, 0, :2].tolist())
print(torch.concatenate([x, x], axis=1).shape, torch.stack([x, x], axis=-1).shape, torch.unsqueeze(x, axis=0).shape, x.squeeze(axis=0).shape)
print(np.asarray(x).sum(), np.mean(x.numpy(), axis=0).shape, np.ones(4).sum())
a = x.numpy()
a[0, 0, 0] = 100
print(x[0, 0, 0].item(), torch.from_numpy(a).data_ptr() == x.data_ptr(), torch.tensor(a).data_ptr() == x.data_ptr())
mask = x > 12
x[mask] = 0
print(mask.sum().item(), x.nonzero().shape, torch.where(x > 5)[2].tolist(), x[..., -1].tolist(), x[:, [0, 2], 1:3].shape)
x[0, :, None] += 1
x[1, 1:, ::2] = torch.tensor([9.0, 8.0])
print(x[1])
print(torch.arange(5), torch.linspace(0, 1, 3), torch.eye(2, dtype=torch.int32), torch.empty(0), torch.tensor([True, False]))
print(torch.tensor([1e-8, 1.0]), torch.tensor([1.5, float("nan"), float("inf")]), torch.tensor([[1 + 2j]]))
idx = torch.tensor([[2, 0], [1, 1]])
t = torch.tensor([[3.0, 1.0, 2.0], [6.0, 5.0, 4.0]])
values, order = t.sort(dim=1, descending=True)
print(values.tolist(), order.tolist(), t.gather(1, idx).tolist(), torch.take_along_dim(t, idx, dim=1).tolist())
print(t.kthvalue(2, dim=1).values.tolist(), t.median().item(), t.mode().values.tolist(), torch.quantile(t, 0.25).item(), t.unique().tolist())
print(torch.einsum("ij,kj->ik", t, t).tolist(), torch.tensordot(t, t, dims=2).item(), torch.outer(t[0], t[0]).trace().item())
print(torch.bucketize(torch.tensor([1.5, 5.0]), torch.arange(6.0)).tolist(), torch.histc(t, 3, 0, 6).tolist(), torch.searchsorted(t[0].sort()[0], 2.5).item())
print(t.type(), t.int().dtype, t.to(torch.float64).dtype, t.long().type(), (t > 2).dtype, (t.int() / 2).dtype, (t.int() // 2).dtype)
print(torch.result_type(torch.tensor(1), 1.0), (torch.ones(1, dtype=torch.uint8) + 300).item() if False else "", torch.promote_types(torch.int32, torch.float16))
print([tuple(s.shape) for s in torch.split(torch.zeros(7, 2), 3)], [len(c) for c in torch.chunk(torch.zeros(7), 3)], torch.tensor_split(torch.arange(5), 2)[0].tolist())
print(torch.broadcast_shapes((3, 1), (1, 4)), torch.cartesian_prod(torch.tensor([1, 2]), torch.tensor([3, 4])).tolist(), torch.combinations(torch.arange(3)).tolist())
print(f"{t.mean():.3f} {t[0, 0]:.1f} {len(t)} {t.ndim} {t.numel()} {t.element_size()} {t.stride()} {t.is_contiguous()} {t.T.is_contiguous()}")
b = t.clone()
b += 1
b.mul_(2).clamp_(max=10).sub_(1)
print(b.tolist(), (b == t).any().item(), bool((b >= t).all()), torch.equal(b, t), torch.isclose(b, b + 1e-9).all().item())
for row, (i, v) in zip(t, enumerate(t.tolist())):
    print(i, row.sum().item(), v)
print(torch.repeat_interleave(torch.tensor([1, 2]), torch.tensor([2, 3])).tolist(), t.repeat(1, 2).shape, t.tile(2, 1).shape, t.expand(4, 2, 3).shape)
print(torch.roll(t, 1, 1).tolist(), t.flip(0).tolist(), torch.rot90(t).tolist(), t.fliplr()[0].tolist())
print(torch.nan_to_num(torch.tensor([float("nan"), float("inf")]), posinf=1.0).tolist(), torch.isnan(t).sum().item(), torch.diff(t).tolist())
print(torch.meshgrid(torch.arange(2), torch.arange(3), indexing="xy")[0].tolist(), torch.triu_indices(2, 2).tolist(), torch.vander(torch.tensor([1, 2, 3])).tolist())
print(torch.logspace(0, 2, 3).tolist(), torch.full((2,), 7).tolist(), torch.zeros_like(t, dtype=torch.bool).any().item(), torch.tril(torch.ones(2, 2)).tolist())
print(torch.cross(torch.tensor([1.0, 0, 0]), torch.tensor([0, 1.0, 0]), dim=0).tolist(), torch.renorm(t, 2, 0, 1.0).norm(dim=1).tolist())
print(divmod(7, 2), (torch.tensor(7) % torch.tensor(-2)).item(), torch.fmod(torch.tensor(-7.0), 2).item(), torch.floor_divide(torch.tensor(-7), 2).item(), (-7 // torch.tensor(2)).item())
torch.set_printoptions(precision=2, sci_mode=False)
print(torch.tensor([1.23456, 100000.0]))
torch.set_printoptions(profile="default")
