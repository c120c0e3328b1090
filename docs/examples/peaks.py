# %% [markdown]
# # Peaks of a spectrum, with error bars
#
# Two peaks on a sloping ground are fitted to counts by L-BFGS with a line search. The counts are Poisson's, so the loss is
# the exact log-likelihood, and the inverse of its Hessian at the end is the covariance of what was fitted.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np

import wengert as torch
from wengert.distributions import Poisson
from wengert.func import hessian

try:
    from tqdm import tqdm
except ImportError:

    def tqdm(steps, **options):
        return steps


QUICK = bool(os.environ.get("EXAMPLES_QUICK"))
torch.set_default_dtype(torch.float64)
NAMES = ["ground", "slope", "height 1", "place 1", "width 1", "height 2", "place 2", "width 2"]
TRUE = torch.tensor([20.0, -6.0, 60.0, 4.0, 0.6, 35.0, 5.6, 0.8])
x = torch.linspace(0, 10, 200)


def curve(p):
    peaks = sum(p[i] * torch.exp(-(((x - p[i + 1]) / p[i + 2]) ** 2) / 2) for i in (2, 5))
    return p[0] + p[1] * (x - 5) / 5 + peaks


rng = np.random.default_rng(1)
counts = torch.tensor(rng.poisson(curve(TRUE).numpy()), dtype=torch.float64)


def surprise(p):
    """Minus the log-likelihood."""
    return -Poisson(curve(p).clamp(min=1e-3), validate_args=False).log_prob(counts).sum()


# %%
p = torch.tensor([15.0, 0.0, 40.0, 3.5, 1.0, 40.0, 6.5, 1.0], requires_grad=True)
start = p.detach().clone()
optimizer = torch.optim.LBFGS([p], max_iter=5, line_search_fn="strong_wolfe")
history = []


def closure():
    optimizer.zero_grad()
    loss = surprise(p)
    loss.backward()
    return loss


for _ in tqdm(range(2 if QUICK else 20), desc="rounds"):
    history.append(optimizer.step(closure).item())
with torch.no_grad():
    best = p.detach().clone()
error = torch.linalg.inv(hessian(surprise)(best)).diagonal().clamp(min=0).sqrt()
for name, value, wide, true in zip(NAMES, best.tolist(), error.tolist(), TRUE.tolist()):
    print(f"{name:9} {value:7.2f} +- {wide:.2f}   (is {true})")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), width_ratios=[2, 1])
left.plot(x, counts, ".", color="gray", markersize=3, label="counts")
left.plot(x, curve(start), ":", label="start")
left.plot(x, curve(best), label="fit")
left.legend()
right.semilogy(np.array(history) - min(history) + 1e-9)
right.set(xlabel="round", ylabel="above the minimum")
figure.tight_layout()
plt.show()
torch.set_default_dtype(torch.float32)
