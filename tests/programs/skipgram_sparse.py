"""word2vec with negative sampling: sparse embeddings trained by SparseAdam, Adagrad and SGD, a bag of words beside it."""

import random
from collections import Counter

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim

corpus = """the quick brown fox jumps over the lazy dog while the lazy cat sleeps and the quick dog runs over the brown
fence where a fox and a cat watch the dog run and jump over the lazy fence again and again""".split()
counts = Counter(corpus)
vocab = [w for w, _ in sorted(counts.items(), key=lambda kv: (-kv[1], kv[0]))]
stoi = {w: i for i, w in enumerate(vocab)}
pairs = [(stoi[w], stoi[corpus[j]]) for i, w in enumerate(corpus) for j in range(max(0, i - 2), min(len(corpus), i + 3)) if i != j]


def spread(shape, bound):  # in the place of random numbers
    return torch.sin(torch.arange(float(torch.Size(shape).numel())) * 1.7 + 0.3).view(shape) * bound


class SkipGramModel(nn.Module):
    def __init__(self, emb_size, emb_dimension):
        super().__init__()
        self.u_embeddings = nn.Embedding(emb_size, emb_dimension, sparse=True)
        self.v_embeddings = nn.Embedding(emb_size, emb_dimension, sparse=True)
        initrange = 1.0 / emb_dimension
        self.u_embeddings.weight.data.copy_(spread((emb_size, emb_dimension), initrange))
        nn.init.constant_(self.v_embeddings.weight.data, 0)

    def forward(self, pos_u, pos_v, neg_v):
        emb_u, emb_v, emb_neg_v = self.u_embeddings(pos_u), self.v_embeddings(pos_v), self.v_embeddings(neg_v)
        score = torch.clamp(torch.sum(torch.mul(emb_u, emb_v), dim=1), max=10, min=-10)
        score = -F.logsigmoid(score)
        neg_score = torch.clamp(torch.bmm(emb_neg_v, emb_u.unsqueeze(2)).squeeze(2), max=10, min=-10)
        neg_score = -torch.sum(F.logsigmoid(-neg_score), dim=1)
        return torch.mean(score + neg_score)


for name, make in {
    "SparseAdam": lambda p: optim.SparseAdam(p, lr=0.05),
    "Adagrad": lambda p: optim.Adagrad(p, lr=0.1),
    "SGD": lambda p: optim.SGD(p, lr=0.5),
    "momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9),
}.items():
    torch.manual_seed(3)
    random.seed(3)
    model = SkipGramModel(len(vocab), 8)
    optimizer = make(list(model.parameters()))
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, 12)
    for epoch in range(4):
        total = 0.0
        for start in range(0, len(pairs), 32):
            batch = pairs[start : start + 32]
            pos_u, pos_v = (torch.tensor(list(column)) for column in zip(*batch))
            neg_v = torch.tensor([[random.randrange(len(vocab)) for _ in range(3)] for _ in batch])
            optimizer.zero_grad()
            loss = model(pos_u, pos_v, neg_v)
            loss.backward()
            optimizer.step()
            total += loss.item()
        scheduler.step()
    grad = model.u_embeddings.weight.grad
    print(f"{name:10s} loss {total:8.4f} norm {model.u_embeddings.weight.norm().item():.4f}", grad.is_sparse, grad.coalesce()._nnz(), tuple(grad.shape))

bag = nn.EmbeddingBag(len(vocab), 4, mode="mean", sparse=True)
head = nn.Linear(4, 2)
for p in (bag.weight, head.weight, head.bias):
    p.data.copy_(spread(p.shape, 0.5))
dense, sparse = optim.Adam(head.parameters(), lr=0.01), optim.SparseAdam(list(bag.parameters()), lr=0.01)
texts = torch.tensor([stoi[w] for w in corpus[:20]])
offsets = torch.tensor([0, 4, 9, 15])
for step in range(10):
    for o in (dense, sparse):
        o.zero_grad()
    loss = F.cross_entropy(head(bag(texts, offsets)), torch.tensor([0, 1, 0, 1]))
    loss.backward()
    for o in (dense, sparse):
        o.step()
print(f"bag loss {loss.item():.4f}", bag.weight.grad.layout, bag)
state = sparse.state_dict()["state"][0]
print(state["step"], tuple(state["exp_avg"].shape), f"{state['exp_avg'].norm().item():.4f}")
try:
    optim.Adam(bag.parameters()).step()
except RuntimeError as e:
    print(type(e).__name__, str(e)[:40])
