"""REINFORCE on a corridor: walk to the right end; actions drawn by NumPy from the policy's probabilities."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

rng = np.random.default_rng(0)


class Corridor:
    def reset(self):
        self.position, self.steps = 2, 0
        return self.observe()

    def observe(self):
        return F.one_hot(torch.tensor(self.position), 6).float()

    def step(self, action):
        self.position = max(0, self.position + (1 if action else -1))
        self.steps += 1
        done = self.position == 5 or self.steps == 20
        return self.observe(), 1.0 if self.position == 5 else -0.05, done


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.affine1 = nn.Linear(6, 8)
        self.affine2 = nn.Linear(8, 2)
        self.saved_log_probs = []
        self.rewards = []

    def forward(self, x):
        return F.softmax(self.affine2(F.relu(self.affine1(x))), dim=-1)


policy = Policy()
for i, p in enumerate(policy.parameters()):
    p.data.copy_(torch.sin(torch.arange(p.numel()) * (1.0 + i)).view(p.shape) * 0.3)
optimizer = torch.optim.Adam(policy.parameters(), lr=1e-2)
eps = np.finfo(np.float32).eps.item()
env = Corridor()
for episode in range(30):
    state, done = env.reset(), False
    while not done:
        probs = policy(state)
        action = int(rng.random() < probs[1].item())
        policy.saved_log_probs.append(torch.log(probs[action]))
        state, reward, done = env.step(action)
        policy.rewards.append(reward)
    R, returns = 0, []
    for r in policy.rewards[::-1]:
        R = r + 0.95 * R
        returns.insert(0, R)
    returns = torch.tensor(returns)
    returns = (returns - returns.mean()) / (returns.std() + eps)
    policy_loss = torch.stack([-log_prob * R for log_prob, R in zip(policy.saved_log_probs, returns)]).sum()
    optimizer.zero_grad()
    policy_loss.backward()
    optimizer.step()
    if episode % 10 == 9:
        print(episode, len(policy.rewards), f"{policy_loss.item():.4f}", f"{sum(policy.rewards):.2f}")
    del policy.rewards[:], policy.saved_log_probs[:]
