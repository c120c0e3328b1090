"""Reasoning about shapes with the meta device, hooks that print shapes, skip_init, assign loading (official recipes)."""

import io

import torch
import torch.nn as nn
import torch.nn.functional as F

t = torch.empty(2, 3, 4, device="meta")
print(t.shape, t.device, (t @ torch.empty(4, 5, device="meta")).shape)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = torch.flatten(x, 1)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        x = self.fc3(x)
        return x


def fw_hook(module, input, output):
    print(f"Shape of output to {module} is {output.shape}.")


with torch.device("meta"):
    net = Net()
    inp = torch.randn((64, 3, 32, 32))
for name, layer in net.named_modules():
    layer.register_forward_hook(fw_hook)
out = net(inp)
print(out.device, sum(p.numel() for p in net.parameters()))


class SomeModule(torch.nn.Module):
    def __init__(self, size):
        super().__init__()
        self.linear = nn.Linear(size, 10)

    def forward(self, x):
        return self.linear(x)


m = SomeModule(20)
m.linear.weight.data.fill_(0.25)
m.linear.bias.data.zero_()
buffer = io.BytesIO()
torch.save(m.state_dict(), buffer)
buffer.seek(0)
state_dict = torch.load(buffer, mmap=False, weights_only=True)
with torch.device("meta"):
    meta_m = SomeModule(20)
meta_m.load_state_dict(state_dict, assign=True)
print(meta_m.linear.weight.device, meta_m(torch.ones(1, 20)).sum().item())
other = meta_m.to_empty(device="cpu")
print(other.linear.weight.shape)
l = torch.nn.utils.skip_init(nn.Linear, 3, 1)
print(l.weight.shape, l.weight.device)
with torch.device("meta"):
    new_m = SomeModule(5)
try:
    new_m.load_state_dict({"linear.weight": torch.zeros(10, 4)})
except RuntimeError as e:
    print(str(e).splitlines()[0])
try:
    new_m.to("cpu")
except NotImplementedError as e:
    print("NotImplementedError", "to_empty" in str(e))
big = torch.empty(100000, 100000, device="meta")
print(big.t().shape, big.numel(), big.element_size() * big.nelement(), torch.empty_like(big).is_meta)
print(torch.zeros(3, device="meta"))
with torch.device("cpu"):
    print(torch.ones(1).device)
torch.set_default_device("cpu")
print(torch.get_default_device())
