# %% [markdown]
# # A language model of characters
#
# A small transformer that reads this project's own design notes and writes more of the kind. The whole training step,
# forward, backward and optimizer, is captured by `wengert.compile` and runs as one program.

# %%
import math
import os
import time
from pathlib import Path

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

# %%
here = Path(globals().get("__file__", "characters.py")).resolve().parent
text = "".join(path.read_text() for path in sorted((here.parent / "decisions").glob("*.md"))).encode("ascii", "ignore").decode()
letters = sorted(set(text))
number = {letter: i for i, letter in enumerate(letters)}
data = torch.tensor([number[letter] for letter in text])
print(len(text), "characters,", len(letters), "different")

# %%
CONTEXT, WIDTH, HEADS, BATCH = 48, 64, 4, 16


class Block(nn.Module):
    """Attention to what came before, then a small network, each added to its input."""

    def __init__(self):
        super().__init__()
        self.before, self.between = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x):
        n, length, _ = x.shape
        q, k, v = (part.reshape(n, length, HEADS, -1).transpose(1, 2) for part in self.qkv(self.before(x)).chunk(3, -1))
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(seen.transpose(1, 2).reshape(n, length, WIDTH))
        return x + self.mlp(self.between(x))


class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        self.letter, self.place = nn.Embedding(len(letters), WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.Sequential(Block(), Block())
        self.head = nn.Linear(WIDTH, len(letters))

    def forward(self, index):
        return self.head(self.blocks(self.letter(index) + self.place.weight[: index.shape[1]]))


model = Reader()
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)


@torch.compile
def step(x, y):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
    loss.backward()
    optimizer.step()
    return loss


# %%
steps, losses = 3 if QUICK else 400, []
began = time.perf_counter()
for _ in tqdm(range(steps), desc="steps"):
    start = torch.randint(len(data) - CONTEXT - 1, (BATCH, 1))
    window = data[start + torch.arange(CONTEXT + 1)]
    losses.append(step(window[:, :-1], window[:, 1:]).item())
print(f"{(time.perf_counter() - began) / steps * 1000:.0f} ms a step; loss {losses[0]:.2f} -> {np.mean(losses[-20:]):.2f}")

# %%
plt.figure(figsize=(6, 3))
plt.plot(losses)
plt.axhline(math.log(len(letters)), color="gray", linestyle=":", label="guessing")
plt.xlabel("step")
plt.ylabel("loss, nats a character")
plt.legend()
plt.tight_layout()
plt.show()

# %% [markdown]
# What it writes after `The `, letter by letter:

# %%
index = torch.tensor([[number[letter] for letter in "The "]])
with torch.no_grad():
    for _ in range(20 if QUICK else 300):
        chances = (model(index[:, -CONTEXT:])[:, -1] / 0.7).softmax(-1)
        index = torch.cat([index, torch.multinomial(chances, 1)], 1)
print("".join(letters[i] for i in index[0].tolist()))
