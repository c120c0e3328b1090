"""word2vec by skip-grams with negative sampling, and the nearest words by cosine similarity."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

corpus = "the king rules the land the queen rules the land the dog chases the cat the cat fears the dog".split()
vocab = sorted(set(corpus))
index = {w: i for i, w in enumerate(vocab)}
pairs = [
    (index[corpus[i]], index[corpus[j]])
    for i in range(len(corpus)) for j in range(max(0, i - 2), min(len(corpus), i + 3)) if i != j
]  # fmt: skip
rng = np.random.RandomState(0)


class SkipGram(nn.Module):
    def __init__(self, n, d):
        super().__init__()
        self.centre = nn.Embedding(n, d)
        self.context = nn.Embedding(n, d)

    def forward(self, c, o, neg):
        v = self.centre(c)
        positive = F.logsigmoid((v * self.context(o)).sum(1))
        negative = F.logsigmoid(-torch.bmm(self.context(neg), v.unsqueeze(2)).squeeze(2)).sum(1)
        return -(positive + negative).mean()


model = SkipGram(len(vocab), 8)
model.centre.weight.data.copy_(torch.sin(torch.arange(len(vocab) * 8) * 1.3).view(-1, 8) * 0.3)
model.context.weight.data.copy_(torch.cos(torch.arange(len(vocab) * 8) * 0.9).view(-1, 8) * 0.3)
optimizer = torch.optim.Adagrad(model.parameters(), lr=0.3)
c, o = (torch.LongTensor(column) for column in zip(*pairs))
for epoch in range(20):
    neg = torch.from_numpy(rng.randint(0, len(vocab), (len(pairs), 3)))
    loss = model(c, o, neg)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if epoch % 5 == 4:
        print(epoch, round(loss.item(), 4))
with torch.no_grad():
    e = model.centre.weight
    similar = F.cosine_similarity(e[index["king"]].unsqueeze(0), e)
    values, best = torch.sort(similar, descending=True)
    print([vocab[i] for i in best.tolist()[:3]], values[:3].tolist())
