"""Masked tensors: elements that do not count, in arithmetic, reductions, gradients, and the functions of torch.masked."""

import warnings

import torch
from torch.masked import as_masked_tensor, is_masked_tensor, masked_tensor

warnings.simplefilter("ignore")
data = torch.arange(6.0).reshape(2, 3)
mask = torch.tensor([[True, False, True], [False, False, True]])
mt = masked_tensor(data, mask)
print(mt, mt.get_mask().tolist(), mt.to_tensor(-1.0).tolist(), is_masked_tensor(mt), is_masked_tensor(data))
print(mt + 1, 2 * mt, mt.exp(), mt > 1, -mt, mt[0])
for name in ("sum", "mean", "amax", "amin", "prod", "argmax", "var", "std"):
    print(name, getattr(mt, name)(), getattr(mt, name)(dim=1), getattr(mt, name)(dim=0, keepdim=True))
print(mt.reshape(3, 2), mt.transpose(0, 1).shape, torch.stack([mt, mt]).shape, torch.cat([mt, mt]), mt.softmax(1))
for attempt in (lambda: mt + masked_tensor(data, ~mask), lambda: masked_tensor(data, mask[0]), lambda: mt.cumsum(1)):
    try:
        attempt()
    except (TypeError, ValueError) as error:
        print(type(error).__name__)

# a mean that leaves out what is not there, and the gradient of a safe where
x = torch.tensor([-10.0, -5, 0, 5, 10, 50, 60, 70, 80, 90, 100])
chosen = masked_tensor(x, x > 5, requires_grad=True)
chosen.mean().backward()
print(chosen.mean(), chosen.grad)
y = torch.tensor([0.0, 1.0, 4.0], requires_grad=True)
(as_masked_tensor(y, y > 0).sqrt()).sum().backward()
print(torch.nan_to_num(y.grad.to_tensor(0.0) if is_masked_tensor(y.grad) else y.grad, posinf=0.0))

# functions of plain tensors under a mask
for name in ("sum", "mean", "prod", "amax", "amin", "median", "var", "std", "norm", "logsumexp"):
    arguments = (2.0, 1) if name == "norm" else (1,)
    print(name, getattr(torch.masked, name)(data, *arguments, mask=mask).tolist())
print(torch.masked.softmax(data, 1, mask=mask), torch.masked.log_softmax(data, 1, mask=mask))
print(torch.masked.cumsum(data, 1, mask=mask).tolist(), torch.masked.cumprod(data, 1, mask=mask).tolist())
print(torch.masked.normalize(data, 2.0, 1, mask=mask), torch.masked.softmin(data, 0, mask=mask))
z = data.clone().requires_grad_()
torch.masked.mean(z, 1, mask=mask).sum().backward()
print(z.grad.tolist(), torch.masked.argmax(data, 1, mask=mask).tolist(), torch.masked.sum(mt, 1).tolist())
