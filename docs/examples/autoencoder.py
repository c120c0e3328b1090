# %% [markdown]
# # A variational autoencoder
#
# Digits are pressed through two numbers and drawn again. The two numbers are a normal distribution, so that one can also draw
# digits that nobody wrote: `wengert.distributions` has the draws that gradients flow through, and the divergence.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import wengert as torch
from wengert import nn
from wengert.distributions import Bernoulli, Independent, Normal, kl_divergence

try:
    from tqdm import tqdm
except ImportError:

    def tqdm(steps, **options):
        return steps


QUICK = bool(os.environ.get("EXAMPLES_QUICK"))
torch.manual_seed(0)
digits = load_digits()
images = torch.tensor(digits.images.reshape(-1, 64) / 16, dtype=torch.float32)


# %%
class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, 128), nn.SiLU(), nn.Linear(128, 4))
        self.decoder = nn.Sequential(nn.Linear(2, 128), nn.SiLU(), nn.Linear(128, 64))

    def encode(self, x):
        mean, log_scale = self.encoder(x).chunk(2, -1)
        return Independent(Normal(mean, log_scale.exp()), 1)

    def decode(self, z):
        return Independent(Bernoulli(logits=self.decoder(z), validate_args=False), 1)  # grey is between no and yes

    def loss(self, x):
        code = self.encode(x)
        z = code.rsample()
        prior = Independent(Normal(torch.zeros_like(z), torch.ones_like(z)), 1)
        return -self.decode(z).log_prob(x).mean(), kl_divergence(code, prior).mean()


model = Autoencoder()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
epochs, history = 1 if QUICK else 60, []
for _ in tqdm(range(epochs), desc="epochs"):
    for batch in images[torch.randperm(len(images))].split(128):
        drawn, divergence = model.loss(batch)
        optimizer.zero_grad()
        (drawn + divergence).backward()
        optimizer.step()
        history.append((drawn.item(), divergence.item()))
drawing, divergence = np.mean(history[-10:], 0)
print(f"drawing {drawing:.2f}, divergence {divergence:.2f} nats")

# %%
with torch.no_grad():
    where = model.encode(images).mean.numpy()
    side = torch.distributions.Normal(0.0, 1.0).icdf(torch.linspace(0.03, 0.97, 12))
    grid = torch.stack(torch.meshgrid(side, side.flip(0), indexing="xy"), -1)
    drawn = torch.sigmoid(model.decoder(grid)).reshape(12, 12, 8, 8)

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4))
dots = left.scatter(where[:, 0], where[:, 1], c=digits.target, cmap="tab10", s=4)
figure.colorbar(dots, ax=left, ticks=range(10))
left.set_title("where the digits are put")
right.imshow(drawn.permute(0, 2, 1, 3).reshape(96, 96).numpy(), cmap="gray_r")
right.set_title("what is drawn from there")
right.axis("off")
figure.tight_layout()
plt.show()
