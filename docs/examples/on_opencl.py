# %% [markdown]
# # Training on an OpenCL device
#
# The same program on any device: only the name of the device says where. `pip install 'wengert[opencl-cpu]'` brings a driver
# for machines that have none; without any, this example says so and stops.

# %%
import os
import time

import matplotlib.pyplot as plt
import numpy as np

import wengert as torch
from wengert import nn
from wengert.nn import functional as F

try:
    from tqdm import tqdm
except ImportError:

    def tqdm(steps, **options):
        return steps


QUICK = bool(os.environ.get("EXAMPLES_QUICK"))
torch.manual_seed(0)


def found(name):
    """Say whether tensors can be made on a device, and why not."""
    try:
        torch.zeros(1, device=name)
    except Exception as error:
        print(f"no {name} here: {error}")
        return False
    return True


DEVICE = "opencl" if found("opencl") else "cpu"
if DEVICE == "cpu":
    print("skipped: this example needs an OpenCL device; `wengert devices` says what is missing")

# %% [markdown]
# Two spirals, and a network that has to tell them apart.

# %%
rng = np.random.default_rng(0)
turn = np.sqrt(rng.random(1000)) * 3 * np.pi
side = np.repeat([1.0, -1.0], 500)
spirals = side[:, None] * np.stack([turn * np.cos(turn), turn * np.sin(turn)], 1) / 10 + 0.02 * rng.normal(size=(1000, 2))
x = torch.tensor(spirals, dtype=torch.float32, device=DEVICE)
y = torch.tensor(side > 0, device=DEVICE).float()
model = nn.Sequential(nn.Linear(2, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 1)).to(DEVICE)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
steps, losses = (0 if DEVICE == "cpu" else 3 if QUICK else 400), []
began = time.perf_counter()
for _ in tqdm(range(steps), desc=DEVICE):
    optimizer.zero_grad()
    loss = F.binary_cross_entropy_with_logits(model(x).squeeze(1), y)
    loss.backward()
    optimizer.step()
    losses.append(loss)
if steps:
    losses = torch.stack(losses).tolist()
    taken = (time.perf_counter() - began) / steps * 1000
    print(f"on {x.device}: loss {losses[0]:.3f} -> {losses[-1]:.3f}, {taken:.1f} ms a step")

# %%
if steps:
    a, b = np.meshgrid(np.linspace(-1.1, 1.1, 100), np.linspace(-1.1, 1.1, 100))
    points = torch.tensor(np.stack([a, b], -1), dtype=torch.float32, device=DEVICE)
    with torch.no_grad():
        chance = torch.sigmoid(model(points))[..., 0].cpu().numpy()
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2))
    left.contourf(a, b, chance, 10, cmap="RdBu_r", alpha=0.6)
    left.scatter(*spirals.T, c=side, cmap="RdBu_r", s=3)
    right.semilogy(losses)
    right.set(xlabel="step", ylabel="loss")
    figure.tight_layout()
    plt.show()
