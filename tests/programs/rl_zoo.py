"""Reinforcement learning: DQN with namedtuple replay and soft targets, double and duelling heads, SAC-like squashed Gaussian, DDPG targets, A2C with GAE, categorical and normal policies on a tiny environment."""

import math
import random
from collections import deque, namedtuple
from itertools import count

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.distributions import Categorical, Independent, Normal, TanhTransform, TransformedDistribution

Transition = namedtuple("Transition", ("state", "action", "next_state", "reward"))


def fill(m, s=0.3):
    for i, p in enumerate(m.parameters()):
        p.data = torch.cos(torch.arange(p.numel()) * (1.1 + i)).view_as(p) * s
    return m


class Env:
    def reset(self):
        self.x, self.v, self.t = 0.1, 0.0, 0
        return np.array([self.x, self.v], np.float32), {}

    def step(self, a):
        self.v += 0.1 * (1 if a else -1) - 0.05 * self.x
        self.x += self.v
        self.t += 1
        return np.array([self.x, self.v], np.float32), 1.0 - abs(self.x), abs(self.x) > 2, self.t >= 12, {}


class ReplayMemory:
    def __init__(self, capacity):
        self.memory = deque([], maxlen=capacity)

    def push(self, *args):
        self.memory.append(Transition(*args))

    def sample(self, batch_size):
        return [self.memory[i % len(self.memory)] for i in range(0, 3 * batch_size, 3)]

    def __len__(self):
        return len(self.memory)


class Dueling(nn.Module):
    def __init__(self, n_observations, n_actions):
        super().__init__()
        self.layer1 = nn.Linear(n_observations, 12)
        self.value, self.adv = nn.Linear(12, 1), nn.Linear(12, n_actions)

    def forward(self, x):
        x = F.relu(self.layer1(x))
        a = self.adv(x)
        return self.value(x) + a - a.mean(-1, keepdim=True)


BATCH_SIZE, GAMMA, TAU = 6, 0.95, 0.05
env = Env()
policy_net, target_net = fill(Dueling(2, 2)), Dueling(2, 2)
target_net.load_state_dict(policy_net.state_dict())
optimizer = optim.AdamW(policy_net.parameters(), lr=1e-2, amsgrad=True)
memory = ReplayMemory(100)
random.seed(0)
steps_done = 0


def select_action(state):
    global steps_done
    eps_threshold = 0.1 + 0.8 * math.exp(-1.0 * steps_done / 20)
    steps_done += 1
    if random.random() > eps_threshold:
        with torch.no_grad():
            return policy_net(state).max(1).indices.view(1, 1)
    return torch.tensor([[random.randrange(2)]], dtype=torch.long)


def optimize_model():
    if len(memory) < BATCH_SIZE:
        return None
    batch = Transition(*zip(*memory.sample(BATCH_SIZE)))
    non_final_mask = torch.tensor(tuple(map(lambda s: s is not None, batch.next_state)), dtype=torch.bool)
    non_final_next_states = torch.cat([s for s in batch.next_state if s is not None])
    state_batch, action_batch, reward_batch = torch.cat(batch.state), torch.cat(batch.action), torch.cat(batch.reward)
    state_action_values = policy_net(state_batch).gather(1, action_batch)
    next_state_values = torch.zeros(BATCH_SIZE)
    with torch.no_grad():
        best = policy_net(non_final_next_states).argmax(1, keepdim=True)
        next_state_values[non_final_mask] = target_net(non_final_next_states).gather(1, best).squeeze(1)
    expected = (next_state_values * GAMMA) + reward_batch
    loss = nn.SmoothL1Loss()(state_action_values, expected.unsqueeze(1))
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_value_(policy_net.parameters(), 100)
    optimizer.step()
    return loss.item()


for i_episode in range(3):
    state, info = env.reset()
    state = torch.tensor(state, dtype=torch.float32).unsqueeze(0)
    for t in count():
        action = select_action(state)
        observation, reward, terminated, truncated, _ = env.step(action.item())
        reward = torch.tensor([reward])
        next_state = None if terminated else torch.tensor(observation, dtype=torch.float32).unsqueeze(0)
        memory.push(state, action, next_state, reward)
        state = next_state
        loss = optimize_model()
        target_sd, policy_sd = target_net.state_dict(), policy_net.state_dict()
        for key in policy_sd:
            target_sd[key] = policy_sd[key] * TAU + target_sd[key] * (1 - TAU)
        target_net.load_state_dict(target_sd)
        if terminated or truncated:
            print("episode", i_episode, t + 1, "%.5f" % loss)
            break


class Actor(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.mu, self.log_std = nn.Sequential(nn.Linear(2, 8), nn.Tanh()), nn.Linear(8, 1), nn.Linear(8, 1)

    def forward(self, s, eps):
        h = self.body(s)
        std = torch.clamp(self.log_std(h), -20, 2).exp()
        dist = Normal(self.mu(h), std)
        u = dist.mean + dist.stddev * eps
        a = torch.tanh(u)
        logp = dist.log_prob(u).sum(-1) - (2 * (math.log(2) - u - F.softplus(-2 * u))).sum(-1)
        return a, logp, dist


actor, q1, q2 = (
    fill(Actor()),
    fill(nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1))),
    fill(nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1)), 0.25),
)
log_alpha = torch.tensor(0.0, requires_grad=True)
opts = [
    optim.Adam(actor.parameters(), 1e-2),
    optim.Adam([*q1.parameters(), *q2.parameters()], 1e-2),
    optim.Adam([log_alpha], 1e-2),
]
S = torch.sin(torch.arange(20.0)).view(10, 2)
eps = torch.cos(torch.arange(10.0)).view(10, 1)
for it in range(4):
    with torch.no_grad():
        a2, lp2, _ = actor(S.roll(1, 0), eps)
        sa2 = torch.cat([S.roll(1, 0), a2], -1)
        target = S[:, 0] + 0.9 * (torch.min(q1(sa2), q2(sa2)).squeeze(-1) - log_alpha.exp() * lp2)
    sa = torch.cat([S, eps.tanh()], -1)
    qloss = F.mse_loss(q1(sa).squeeze(-1), target) + F.mse_loss(q2(sa).squeeze(-1), target)
    opts[1].zero_grad()
    qloss.backward()
    opts[1].step()
    for p in [*q1.parameters(), *q2.parameters()]:
        p.requires_grad = False
    a, lp, dist = actor(S, eps)
    sa = torch.cat([S, a], -1)
    aloss = (log_alpha.exp().detach() * lp - torch.min(q1(sa), q2(sa)).squeeze(-1)).mean()
    opts[0].zero_grad()
    aloss.backward()
    opts[0].step()
    for p in [*q1.parameters(), *q2.parameters()]:
        p.requires_grad = True
    alpha_loss = -(log_alpha * (lp - 1.0).detach()).mean()
    opts[2].zero_grad()
    alpha_loss.backward()
    opts[2].step()
    print("sac %.5f %.5f %.5f" % (qloss.item(), aloss.item(), alpha_loss.item()))
squashed = TransformedDistribution(Independent(Normal(torch.zeros(2), torch.ones(2)), 1), [TanhTransform(cache_size=1)])
print(squashed.log_prob(torch.tensor([0.5, -0.3])), squashed.event_shape)
rewards, values, dones = (
    torch.tensor([1.0, 0.5, -1.0, 2.0]),
    torch.tensor([0.2, 0.4, 0.1, 0.3, 0.5]),
    torch.tensor([0.0, 0.0, 1.0, 0.0]),
)
adv, last = torch.zeros_like(rewards), 0.0
for t in reversed(range(4)):
    delta = rewards[t] + 0.99 * values[t + 1] * (1 - dones[t]) - values[t]
    adv[t] = last = delta + 0.99 * 0.95 * (1 - dones[t]) * last
ret = adv + values[:-1]
adv = (adv - adv.mean()) / (adv.std() + 1e-8)
print(adv, ret)
net = fill(nn.Linear(2, 3))
dist = Categorical(logits=net(S[:4]))
acts = torch.tensor([0, 2, 1, 1])
ratio = (dist.log_prob(acts) - dist.log_prob(acts).detach()).exp()
loss = (
    -torch.min(ratio * adv, ratio.clamp(0.8, 1.2) * adv).mean()
    - 0.01 * dist.entropy().mean()
    + 0.5 * F.mse_loss(values[:-1], ret)
)
loss.backward()
print(
    loss.item(),
    net.weight.grad,
    dist.probs[0].data,
    dist.sample().shape,
    torch.distributions.kl_divergence(dist, Categorical(probs=torch.full((4, 3), 1 / 3))).data,
)
eligibility = torch.autograd.grad(net(S).sum(), net.weight, retain_graph=False)[0]
print(eligibility, len(memory), np.mean([m.reward.item() for m in memory.memory]).round(4))
