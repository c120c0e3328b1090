"""A distribution of returns on fixed atoms: factorised noise in linear layers, the projection of a shifted distribution by index_add_ on a flat view, in-place repair of indices by masks, priorities from the losses."""

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

ATOMS, LOW, HIGH, ACTIONS, BATCH = 11, -2.0, 2.0, 3, 6
numbers = np.random.RandomState(4)


def drawn(*shape):
    return torch.from_numpy(numbers.standard_normal(shape).astype(np.float32))


class Noisy(nn.Module):
    def __init__(self, inputs, outputs, scale=0.4):
        super().__init__()
        self.mean, self.spread = (nn.Parameter(torch.empty(outputs, inputs)) for _ in range(2))
        self.shift, self.shift_spread = nn.Parameter(torch.empty(outputs)), nn.Parameter(torch.empty(outputs))
        self.register_buffer("noise", torch.empty(outputs, inputs))
        self.register_buffer("shift_noise", torch.empty(outputs))
        self.mean.data.copy_(drawn(outputs, inputs) / math.sqrt(inputs))
        self.spread.data.fill_(scale / math.sqrt(inputs))
        self.shift.data.zero_()
        self.shift_spread.data.fill_(scale / math.sqrt(outputs))
        self.renew()

    def renew(self):
        before, after = (x.sign().mul_(x.abs().sqrt_()) for x in (drawn(self.mean.size(1)), drawn(self.mean.size(0))))
        self.noise.copy_(after.ger(before))
        self.shift_noise.copy_(after)

    def forward(self, x):
        if not self.training:
            return F.linear(x, self.mean, self.shift)
        return F.linear(x, self.mean + self.spread * self.noise, self.shift + self.shift_spread * self.shift_noise)


class Returns(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.value, self.advantage = Noisy(5, 8), Noisy(8, ATOMS), Noisy(8, ACTIONS * ATOMS)

    def forward(self, x, log=False):
        h = F.relu(self.body(x))
        v, a = self.value(h).view(-1, 1, ATOMS), self.advantage(h).view(-1, ACTIONS, ATOMS)
        scores = v + a - a.mean(1, keepdim=True)
        return F.log_softmax(scores, dim=2) if log else F.softmax(scores, dim=2)

    def renew(self):
        for name, layer in self.named_children():
            layer.renew()


def projected(rewards, going_on, chances, discount=0.9):
    step = (HIGH - LOW) / (ATOMS - 1)
    moved = (rewards.unsqueeze(1) + going_on * discount * support.unsqueeze(0)).clamp(min=LOW, max=HIGH)
    place = (moved - LOW) / step
    lower, upper = place.floor().to(torch.int64), place.ceil().to(torch.int64)
    lower[(upper > 0) * (lower == upper)] -= 1
    upper[(lower < ATOMS - 1) * (lower == upper)] += 1
    made = chances.new_zeros(BATCH, ATOMS)
    rows = torch.linspace(0, (BATCH - 1) * ATOMS, BATCH).unsqueeze(1).expand(BATCH, ATOMS).to(lower)
    made.view(-1).index_add_(0, (lower + rows).view(-1), (chances * (upper.float() - place)).view(-1))
    made.view(-1).index_add_(0, (upper + rows).view(-1), (chances * (place - lower.float())).view(-1))
    return made


support = torch.linspace(LOW, HIGH, ATOMS)
online, target = Returns(), Returns()
target.load_state_dict(online.state_dict())
for p in target.parameters():
    p.requires_grad = False
optimizer = torch.optim.Adam(online.parameters(), lr=0.02, eps=1.5e-4)
for step in range(6):
    states, later = drawn(BATCH, 5), drawn(BATCH, 5)
    actions = torch.tensor(numbers.randint(0, ACTIONS, BATCH), dtype=torch.int64)
    rewards, going_on = drawn(BATCH), torch.tensor(numbers.rand(BATCH, 1) > 0.3, dtype=torch.float32)
    weights = torch.from_numpy(numbers.rand(BATCH)).float()
    log_chances = online(states, log=True)[range(BATCH), actions]
    with torch.no_grad():
        best = (online(later) * support.expand(BATCH, ACTIONS, ATOMS)).sum(2).argmax(1)
        target.renew()
        wanted = projected(rewards, going_on, target(later)[range(BATCH), best])
    losses = -torch.sum(wanted * log_chances, 1)
    online.zero_grad()
    (weights * losses).mean().backward()
    norm = nn.utils.clip_grad_norm_(online.parameters(), 10.0)
    optimizer.step()
    online.renew()
    priorities = losses.detach().cpu().numpy() ** 0.5
    print(f"{step} loss {losses.mean():.4f} norm {norm:.4f} mass {wanted.sum(1).tolist()} priority {priorities.max():.4f}")
online.eval()
values = (online(states) * support).sum(2)
print(values, values.max(1)[0], values.argmax(1).tolist())
print(projected(torch.tensor([5.0, -5.0, 0.4, 0.0, 0.0, 1.0]), torch.tensor([[0.0], [0.0], [0.0], [1.0], [0.0], [1.0]]), wanted))
