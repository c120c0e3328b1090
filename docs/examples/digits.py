# %% [markdown]
# # A classifier of handwritten digits
#
# A small convolutional network on scikit-learn's 1797 images of digits: `DataLoader`, a training loop, a schedule of the
# learning rate, and a look at what goes wrong. The script is [`digits.py`](digits.py); `pip install 'wengert[docs]'` has
# what it needs.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import wengert as torch
from wengert import nn
from wengert.nn import functional as F
from wengert.utils.data import DataLoader, TensorDataset

try:
    from tqdm import tqdm
except ImportError:  # a progress bar is nice to have

    def tqdm(steps, **options):
        return steps


QUICK = bool(os.environ.get("EXAMPLES_QUICK"))  # a few steps, for the tests
torch.manual_seed(0)

# %%
digits = load_digits()
images = torch.tensor(digits.images / 16, dtype=torch.float32).unsqueeze(1)
labels = torch.tensor(digits.target)
order = torch.randperm(len(images))
train, test = order[:1400], order[1400:]
loader = DataLoader(TensorDataset(images[train], labels[train]), batch_size=50, shuffle=True)

# %%
model = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
    nn.Flatten(), nn.Dropout(0.3), nn.Linear(32 * 4, 10),
)  # fmt: skip
print(sum(p.numel() for p in model.parameters()), "parameters")

epochs = 1 if QUICK else 12
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=epochs * len(loader))


def accuracy(which):
    model.eval()
    with torch.no_grad():
        return (model(images[which]).argmax(1) == labels[which]).float().mean().item()


# %%
losses, scores = [], []
for _ in tqdm(range(epochs), desc="epochs"):
    model.train()
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    scores.append((accuracy(train), accuracy(test)))
print(f"loss {np.mean(losses[:5]):.2f} -> {np.mean(losses[-5:]):.3f}, accuracy on new images {scores[-1][1]:.1%}")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3))
left.semilogy(losses)
left.set(xlabel="step", ylabel="loss")
right.plot(range(1, epochs + 1), scores, marker=".")
right.set(xlabel="epoch", ylabel="accuracy")
right.legend(["images it learned from", "new images"])
figure.tight_layout()
plt.show()

# %% [markdown]
# The images it is least sure of, and what it takes them for:

# %%
with torch.no_grad():
    chances = model(images[test]).softmax(1)
sure, guess = chances.max(1)
figure, axes = plt.subplots(1, 8, figsize=(9, 1.6))
for axis, i in zip(axes, sure.argsort()[:8].tolist()):
    axis.imshow(images[test[i], 0].numpy(), cmap="gray_r")
    is_, taken = labels[test[i]].item(), guess[i].item()
    axis.set_title(f"{is_}" if is_ == taken else f"{is_}, not {taken}", fontsize=9)
    axis.axis("off")
plt.show()
