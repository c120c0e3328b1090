"""Weights shared between layers and between an encoder and its decoder; a subset frozen."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class Tied(nn.Module):
    def __init__(self, vocab, dim):
        super().__init__()
        self.embed = nn.Embedding(vocab, dim)
        self.shared = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, vocab, bias=False)
        self.out.weight = self.embed.weight

    def forward(self, ids):
        h = self.embed(ids)
        for _ in range(3):
            h = torch.tanh(self.shared(h))
        return self.out(h)


model = Tied(7, 5)
print(len(list(model.parameters())), len(model.state_dict()), model.out.weight is model.embed.weight)
with torch.no_grad():
    for i, p in enumerate(model.parameters()):
        p.copy_(torch.cos(torch.arange(p.numel()) * 1.1 + i).reshape(p.shape) * 0.6)
ids = torch.tensor([0, 3, 5, 1, 2, 6])
targets = torch.tensor([3, 5, 1, 2, 6, 4])
optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
for step in range(20):
    if step == 10:
        model.shared.requires_grad_(False)
    loss = F.cross_entropy(model(ids), targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 5 == 4:
        print(step, f"{loss.item():.5f}", model.shared.weight.grad is None, f"{model.shared.weight.sum().item():.5f}")
