# %% [markdown]
# # Second derivatives at work
#
# Newton's method takes the step $-H^{-1} g$. `func.hessian` gives $H$; where it is too large to be written down, products
# $H v$ are a `jvp` of the gradient, and conjugate gradients solve for the step with nothing else. Both against gradient
# descent, on a valley and on a logistic regression.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np

import wengert as torch
from wengert.func import grad, hessian, jvp
from wengert.nn import functional as F

try:
    from tqdm import tqdm
except ImportError:

    def tqdm(steps, **options):
        return steps


QUICK = bool(os.environ.get("EXAMPLES_QUICK"))
torch.manual_seed(0)
torch.set_default_dtype(torch.float64)


def valley(p):
    """Rosenbrock's function."""
    return (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2


# %%
def newton(f, p, steps):
    """Damped steps: the Hessian is made positive, and the step halved until it goes down."""
    path = [p]
    for _ in tqdm(range(steps), desc="newton"):
        values, vectors = torch.linalg.eigh(hessian(f)(p))
        step = vectors @ ((vectors.T @ grad(f)(p)) / values.abs().clamp(min=1e-6))
        size = 1.0
        while f(p - size * step) > f(p) and size > 1e-6:
            size /= 2
        p = p - size * step
        path.append(p)
    return path


def descent(f, p, steps, rate):
    path = [p]
    for _ in tqdm(range(steps), desc="descent"):
        p = p - rate * grad(f)(p)
        path.append(p)
    return path


steps = 5 if QUICK else 400
start = torch.tensor([-1.2, 1.0])
by_newton, by_descent = newton(valley, start, min(steps, 25)), descent(valley, start, steps, 1e-3)
print(f"newton: {valley(by_newton[-1]).item():.1e} after {len(by_newton) - 1} steps")
print(f"descent: {valley(by_descent[-1]).item():.1e} after {len(by_descent) - 1} steps")

# %% [markdown]
# A logistic regression of 60 weights. Newton-CG never forms the Hessian.

# %%
rng = np.random.default_rng(0)
features = torch.tensor(rng.normal(size=(500, 60)) * np.geomspace(0.1, 5, 60))
truth = torch.tensor(rng.normal(size=60))
answers = (torch.sigmoid(features @ truth) > torch.tensor(rng.random(500))).double()


def regression(weights):
    return F.binary_cross_entropy_with_logits(features @ weights, answers) + 1e-3 * (weights**2).sum()


def newton_cg(f, p, steps, inner=40):
    heights = [f(p).item()]
    for _ in tqdm(range(steps), desc="newton-cg"):
        g = grad(f)(p)
        step, rest = torch.zeros_like(p), -g
        direction, size = rest, rest @ rest
        for _ in range(inner):
            _, curved = jvp(grad(f), (p,), (direction,))
            part = size / (direction @ curved)
            step, rest = step + part * direction, rest - part * curved
            size, before = rest @ rest, size
            if size < 1e-16:
                break
            direction = rest + size / before * direction
        p = p + step
        heights.append(f(p).item())
    return heights


heights = newton_cg(regression, torch.zeros(60), 2 if QUICK else 8)
slow = [regression(p).item() for p in descent(regression, torch.zeros(60), steps, 0.1)]
best = min(heights)
print(f"newton-cg: {heights[-1]:.6f} after {len(heights) - 1} steps; descent: {slow[-1]:.6f} after {len(slow) - 1}")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
a, b = np.meshgrid(np.linspace(-1.6, 1.6, 120), np.linspace(-0.6, 1.6, 120))
left.contour(a, b, np.log1p((1 - a) ** 2 + 100 * (b - a**2) ** 2), 12, cmap="Greys")
for path, name in ((by_descent, "descent"), (by_newton, "Newton")):
    left.plot(*torch.stack(path).T.numpy(), marker=".", markersize=3, label=name)
left.legend()
right.semilogy(np.array(slow) - best + 1e-16, label="descent")
right.semilogy(np.array(heights) - best + 1e-16, marker=".", label="Newton-CG")
right.set(xlabel="step", ylabel="above the minimum", xlim=(0, 60), ylim=(1e-15, 1))
right.legend()
figure.tight_layout()
plt.show()
torch.set_default_dtype(torch.float32)
