"""Device-agnostic code: choose a device, move modules and tensors, come back to NumPy."""

import numpy as np
import torch
import torch.backends.cudnn as cudnn

use_cuda = torch.cuda.is_available()
device = torch.device("cuda" if use_cuda else "mps" if torch.backends.mps.is_available() else "cpu")
kwargs = {"num_workers": 1, "pin_memory": True} if use_cuda else {}
torch.manual_seed(0)
if use_cuda:
    torch.cuda.manual_seed_all(0)
cudnn.benchmark = False
torch.backends.cudnn.deterministic = True
torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)

x = torch.arange(6, dtype=torch.float32).view(2, 3).to(device, non_blocking=True)
w = torch.ones(3, 1, device=device, requires_grad=True)
y = x @ w
y.sum().backward()
print(w.grad.cpu().numpy().ravel().tolist())
print(x.is_cuda, x.device.type == device.type, y.detach().cpu().numpy().dtype)
print(x.type(torch.LongTensor).tolist(), x.to(torch.float64).dtype, x.double().dtype, x.new_zeros(2).tolist())
tensor = torch.FloatTensor([1, 2, 3])
print(tensor.type(), torch.is_tensor(tensor), torch.is_floating_point(tensor), torch.get_default_dtype())
array = np.arange(4.0)
shared = torch.from_numpy(array)
shared[0] = 10
print(array.tolist(), torch.as_tensor(array).dtype, torch.tensor(3).item(), torch.Size([2, 3]).numel())
print(torch.finfo(torch.float32).eps, torch.iinfo(torch.int32).max, str(torch.float16), str(device))
with torch.device("cpu"):
    print(torch.zeros(2).device)
