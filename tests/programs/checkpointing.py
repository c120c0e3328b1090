"""Save a general checkpoint, load it, go on training: the same losses as without a break."""

import os
import tempfile

import torch
import torch.nn as nn
import torch.optim as optim


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))

    def forward(self, x):
        self.seen += len(x)
        return self.body(x)


def make():
    net = Net()
    with torch.no_grad():
        for i, p in enumerate(net.parameters()):
            p.copy_(torch.sin(torch.arange(p.numel()) + i).reshape(p.shape) * 0.5)
    optimizer = optim.Adam(net.parameters(), lr=0.05)
    return net, optimizer, optim.lr_scheduler.StepLR(optimizer, 4, 0.5)


x = torch.linspace(-1, 1, 30).reshape(10, 3)
y = (x**2).sum(1, keepdim=True)


def train(net, optimizer, scheduler, steps):
    for _ in range(steps):
        loss = nn.functional.mse_loss(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
    return loss


net, optimizer, scheduler = make()
print(f"{train(net, optimizer, scheduler, 10).item():.6f}")
net, optimizer, scheduler = make()
loss = train(net, optimizer, scheduler, 5)
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "checkpoint.pt")
    torch.save(
        {
            "epoch": 5, "model_state_dict": net.state_dict(), "optimizer_state_dict": optimizer.state_dict(),
            "scheduler_state_dict": scheduler.state_dict(), "loss": loss.detach(),
        },
        path,
    )  # fmt: skip
    checkpoint = torch.load(path, map_location=torch.device("cpu"), weights_only=True)
print(checkpoint["epoch"], f"{checkpoint['loss'].item():.6f}", sorted(checkpoint))
net, optimizer, scheduler = make()
print(net.load_state_dict(checkpoint["model_state_dict"]))
optimizer.load_state_dict(checkpoint["optimizer_state_dict"])
scheduler.load_state_dict(checkpoint["scheduler_state_dict"])
print(f"{train(net, optimizer, scheduler, 5).item():.6f}", net.seen.item(), optimizer.param_groups[0]["lr"])
for key, value in net.state_dict().items():
    print(key, tuple(value.size()), value.dtype)
