# %% [markdown]
# # A differential equation fitted to measurements
#
# A mass on a spring was measured a few times, with noise. A network $x(t)$ has to pass near the measurements, and to satisfy
# $\ddot x + 2 d\, \dot x + \omega^2 x = 0$ everywhere, also where nothing was measured; damping $d$ and frequency $\omega$
# are not known and are fitted along. The derivatives of the network are taken by `autograd.grad`, those of the loss
# through them.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np

import wengert as torch
from wengert import nn

try:
    from tqdm import tqdm
except ImportError:

    def tqdm(steps, **options):
        return steps


QUICK = bool(os.environ.get("EXAMPLES_QUICK"))
torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
DAMPING, FREQUENCY = 0.3, 3.0


def exact(t):
    fast = np.sqrt(FREQUENCY**2 - DAMPING**2)
    return np.exp(-DAMPING * t) * np.cos(fast * t)


rng = np.random.default_rng(0)
measured_at = np.sort(rng.uniform(0, 3, 14))
measured = exact(measured_at) + 0.03 * rng.normal(size=14)

# %%
network = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))
damping, frequency = nn.Parameter(torch.tensor(1.0)), nn.Parameter(torch.tensor(2.0))
t_data, x_data = torch.tensor(measured_at).unsqueeze(1), torch.tensor(measured).unsqueeze(1)
t = torch.linspace(0, 6, 90).unsqueeze(1).requires_grad_()


def residual():
    x = network(t)
    (speed,) = torch.autograd.grad(x.sum(), t, create_graph=True)
    (acceleration,) = torch.autograd.grad(speed.sum(), t, create_graph=True)
    return acceleration + 2 * damping * speed + frequency**2 * x


steps, history = 5 if QUICK else 3000, []
optimizer = torch.optim.Adam([{"params": network.parameters()}, {"params": [damping, frequency], "lr": 1e-2}], lr=3e-3)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
for _ in tqdm(range(steps), desc="steps"):
    optimizer.zero_grad()
    fit, law = ((network(t_data) - x_data) ** 2).mean(), (residual() ** 2).mean()
    (fit + 1e-2 * law).backward()
    optimizer.step()
    schedule.step()
    history.append((damping.item(), frequency.item()))
print(f"damping {damping.item():.3f} (is {DAMPING}), frequency {frequency.item():.3f} (is {FREQUENCY})")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3))
times = np.linspace(0, 6, 300)
left.plot(times, exact(times), color="gray", label="exact")
with torch.no_grad():
    left.plot(times, network(torch.tensor(times).unsqueeze(1)).numpy(), "--", label="network")
left.plot(measured_at, measured, ".", label="measured")
left.set_xlabel("time")
left.legend()
right.plot(history)
right.axhline(DAMPING, color="C0", linestyle=":")
right.axhline(FREQUENCY, color="C1", linestyle=":")
right.legend(["damping", "frequency"])
right.set_xlabel("step")
figure.tight_layout()
plt.show()
torch.set_default_dtype(torch.float32)
