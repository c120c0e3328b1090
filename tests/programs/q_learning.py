"""Deep Q-learning on a chain: replay memory, a target network, gather, smooth L1 loss, soft updates."""

import random
from collections import deque, namedtuple

import torch
import torch.nn as nn
import torch.optim as optim

Transition = namedtuple("Transition", ("state", "action", "next_state", "reward"))
random.seed(2)


class DQN(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer1 = nn.Linear(5, 12)
        self.layer2 = nn.Linear(12, 2)

    def forward(self, x):
        return self.layer2(torch.relu(self.layer1(x)))


policy_net, target_net = DQN(), DQN()
with torch.no_grad():
    for i, p in enumerate(policy_net.parameters()):
        p.copy_(torch.sin(torch.arange(p.numel()) * (0.9 + i)).reshape(p.shape) * 0.4)
target_net.load_state_dict(policy_net.state_dict())
optimizer = optim.AdamW(policy_net.parameters(), lr=5e-3, amsgrad=True)
memory = deque([], maxlen=200)
eye = torch.eye(5)
position = 0
for step in range(120):
    state = eye[position].unsqueeze(0)
    action = torch.tensor([[random.randint(0, 1)]], dtype=torch.long)
    position = min(4, position + 1) if action.item() else 0
    reward = torch.tensor([1.0 if position == 4 else 0.0])
    next_state = None if position == 4 else eye[position].unsqueeze(0)
    memory.append(Transition(state, action, next_state, reward))
    if position == 4:
        position = 0
    if len(memory) < 16:
        continue
    batch = Transition(*zip(*random.sample(memory, 16)))
    non_final_mask = torch.tensor(tuple(map(lambda s: s is not None, batch.next_state)), dtype=torch.bool)
    non_final_next_states = torch.cat([s for s in batch.next_state if s is not None])
    state_action_values = policy_net(torch.cat(batch.state)).gather(1, torch.cat(batch.action))
    next_state_values = torch.zeros(16)
    with torch.no_grad():
        next_state_values[non_final_mask] = target_net(non_final_next_states).max(1).values
    expected = next_state_values * 0.9 + torch.cat(batch.reward)
    loss = nn.SmoothL1Loss()(state_action_values, expected.unsqueeze(1))
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_value_(policy_net.parameters(), 100)
    optimizer.step()
    target_state, policy_state = target_net.state_dict(), policy_net.state_dict()
    for key in policy_state:
        target_state[key] = policy_state[key] * 0.05 + target_state[key] * 0.95
    target_net.load_state_dict(target_state)
    if step % 26 == 15:
        print(step, f"{loss.item():.5f}")
print([[round(v, 3) for v in row] for row in policy_net(eye).tolist()])
