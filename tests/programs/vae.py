"""A variational autoencoder on synthetic binary patterns, with the reparametrisation trick."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn, optim

rng = np.random.RandomState(0)
patterns = (rng.rand(5, 20) > 0.5).astype(np.float32)
data = torch.from_numpy(np.abs(patterns[rng.randint(0, 5, 100)] - (rng.rand(100, 20) > 0.95)).astype(np.float32))


class VAE(nn.Module):
    def __init__(self):
        super(VAE, self).__init__()
        self.fc1 = nn.Linear(20, 12)
        self.fc21 = nn.Linear(12, 3)
        self.fc22 = nn.Linear(12, 3)
        self.fc3 = nn.Linear(3, 12)
        self.fc4 = nn.Linear(12, 20)

    def encode(self, x):
        h1 = F.relu(self.fc1(x))
        return self.fc21(h1), self.fc22(h1)

    def reparameterize(self, mu, logvar):
        std = torch.exp(0.5 * logvar)
        eps = torch.from_numpy(rng.randn(*std.shape)).to(std)
        return mu + eps * std

    def decode(self, z):
        return torch.sigmoid(self.fc4(F.relu(self.fc3(z))))

    def forward(self, x):
        mu, logvar = self.encode(x.view(-1, 20))
        return self.decode(self.reparameterize(mu, logvar)), mu, logvar


def loss_function(recon_x, x, mu, logvar):
    BCE = F.binary_cross_entropy(recon_x, x.view(-1, 20), reduction="sum")
    KLD = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return BCE + KLD


model = VAE()
for i, p in enumerate(model.parameters()):
    p.data = torch.sin(torch.arange(p.numel(), dtype=torch.float32) * (1 + 0.31 * i)).reshape(p.shape) * 0.3
optimizer = optim.Adam(model.parameters(), lr=1e-2)
for epoch in range(1, 7):
    model.train()
    train_loss = 0
    for batch in data.split(25):
        optimizer.zero_grad()
        recon_batch, mu, logvar = model(batch)
        loss = loss_function(recon_batch, batch, mu, logvar)
        loss.backward()
        train_loss += loss.item()
        optimizer.step()
    print(f"====> Epoch: {epoch} Average loss: {train_loss / len(data):.4f}")
with torch.no_grad():
    print(model.decode(torch.zeros(1, 3)).round(decimals=3).tolist())
