"""A siamese network with triplet and contrastive losses, embeddings compared by cdist and k-nearest neighbours."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

rng = np.random.default_rng(4)
labels = torch.arange(30) % 3
points = torch.tensor(np.eye(3)[labels.numpy()] @ rng.normal(size=(3, 6)) + 0.4 * rng.normal(size=(30, 6)), dtype=torch.float32)
net = nn.Sequential(nn.Linear(6, 10), nn.PReLU(), nn.Linear(10, 2))
for i, p in enumerate(net.parameters()):
    if p.numel() > 1:
        p.data.copy_(torch.sin(torch.arange(p.numel()) * (1.9 + i)).view(p.shape) * 0.3)
anchor = torch.arange(30)
positive, negative = (anchor + 3) % 30, (anchor + 1) % 30
optimizer = torch.optim.Adamax(net.parameters(), lr=0.02)
for step in range(30):
    e = F.normalize(net(points), dim=1)
    loss = F.triplet_margin_loss(e[anchor], e[positive], e[negative], margin=0.5)
    loss = loss + 0.1 * F.cosine_embedding_loss(e[anchor], e[positive], torch.ones(30))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 10 == 9:
        print(step, f"{loss.item():.5f}")
with torch.no_grad():
    e = F.normalize(net(points), dim=1)
    distances = torch.cdist(e, e).fill_diagonal_(float("inf"))
    nearest = distances.topk(3, largest=False).indices
    votes = torch.mode(labels[nearest], dim=1).values
    print((votes == labels).float().mean().item(), torch.bincount(votes, minlength=3).sum().item())
