"""Matrix factorisation of ratings with biases and sparse observations, by SGD with momentum and by RMSprop."""

import numpy as np
import torch
from torch import nn

rng = np.random.default_rng(0)
users = torch.from_numpy(rng.integers(0, 12, 150))
items = torch.from_numpy(rng.integers(0, 9, 150))
truth = rng.normal(size=(12, 2)) @ rng.normal(size=(2, 9))
ratings = torch.tensor(truth[users.numpy(), items.numpy()], dtype=torch.float32)


class MF(nn.Module):
    def __init__(self, n_users, n_items, k):
        super().__init__()
        self.P, self.Q = nn.Embedding(n_users, k), nn.Embedding(n_items, k)
        self.user_bias, self.item_bias = nn.Embedding(n_users, 1), nn.Embedding(n_items, 1)

    def forward(self, u, i):
        return (self.P(u) * self.Q(i)).sum(1) + self.user_bias(u).squeeze() + self.item_bias(i).squeeze()


for make in (lambda p: torch.optim.SGD(p, lr=0.5, momentum=0.9), lambda p: torch.optim.RMSprop(p, lr=0.02)):
    model = MF(12, 9, 3)
    for i, p in enumerate(model.parameters()):
        nn.init.constant_(p, 0.0)
        p.data.add_(torch.sin(torch.arange(p.numel()) * (2.0 + i)).reshape(p.shape), alpha=0.2)
    optimizer = make(model.parameters())
    for epoch in range(40):
        loss = nn.MSELoss()(model(users, items), ratings)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if epoch % 10 == 9:
            print(epoch, f"{loss.item() ** 0.5:.5f}")
