"""PPO with a Gaussian policy, clipped objective, GAE, minibatches and KL early stopping."""

import numpy as np
import torch
import torch.nn as nn
from torch.distributions import Independent, kl_divergence
from torch.distributions.normal import Normal

rng = np.random.RandomState(1)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def layer_init(layer, k, std=1.0):
    with torch.no_grad():
        layer.weight.copy_(torch.cos(torch.arange(layer.weight.numel(), device=layer.weight.device) * k).view(layer.weight.shape) * std)
    torch.nn.init.constant_(layer.bias, 0.0)
    return layer


class Agent(nn.Module):
    def __init__(self, obs=3, act=2):
        super().__init__()
        self.critic = nn.Sequential(layer_init(nn.Linear(obs, 16), 0.7, 0.5), nn.Tanh(), layer_init(nn.Linear(16, 1), 1.1, 0.3))
        self.actor_mean = nn.Sequential(layer_init(nn.Linear(obs, 16), 1.3, 0.5), nn.Tanh(), layer_init(nn.Linear(16, act), 0.9, 0.1))
        self.actor_logstd = nn.Parameter(torch.zeros(1, act))

    def get_value(self, x):
        return self.critic(x)

    def dist(self, x):
        mean = self.actor_mean(x)
        return Normal(mean, self.actor_logstd.expand_as(mean).exp())

    def get_action_and_value(self, x, action=None):
        probs = self.dist(x)
        if action is None:
            action = probs.mean + probs.stddev * torch.from_numpy(rng.randn(*probs.mean.shape)).to(x)
        return action, probs.log_prob(action).sum(1), probs.entropy().sum(1), self.critic(x)


agent = Agent().to(device)
optimizer = torch.optim.Adam(agent.parameters(), lr=3e-3, eps=1e-5)
num_steps, num_envs = 16, 4
obs = torch.zeros((num_steps, num_envs, 3)).to(device)
actions = torch.zeros((num_steps, num_envs, 2)).to(device)
logprobs, rewards, dones, values = (torch.zeros((num_steps, num_envs)).to(device) for _ in range(4))

state = torch.tensor(rng.randn(num_envs, 3), dtype=torch.float32)
for update in range(1, 4):
    optimizer.param_groups[0]["lr"] = (1.0 - (update - 1.0) / 3) * 3e-3
    for step in range(num_steps):
        obs[step] = state
        with torch.no_grad():
            action, logprob, _, value = agent.get_action_and_value(state)
            values[step] = value.flatten()
        actions[step], logprobs[step] = action, logprob
        state = 0.9 * state + 0.2 * torch.cat([action, action[:, :1] * action[:, 1:]], 1).clamp(-2, 2)
        rewards[step] = -(state**2).sum(-1)
        dones[step] = float(step % 8 == 7)
    with torch.no_grad():
        next_value = agent.get_value(state).reshape(1, -1)
        advantages = torch.zeros_like(rewards)
        lastgaelam = 0
        for t in reversed(range(num_steps)):
            nextnonterminal = 1.0 - dones[t]
            nextvalues = next_value if t == num_steps - 1 else values[t + 1]
            delta = rewards[t] + 0.99 * nextvalues * nextnonterminal - values[t]
            advantages[t] = lastgaelam = delta + 0.99 * 0.95 * nextnonterminal * lastgaelam
        returns = advantages + values
    b_obs, b_actions = obs.reshape((-1, 3)), actions.reshape((-1, 2))
    b_logprobs, b_advantages, b_returns, b_values = logprobs.reshape(-1), advantages.reshape(-1), returns.reshape(-1), values.reshape(-1)
    b_inds = np.arange(num_steps * num_envs)
    clipfracs = []
    old = agent.dist(b_obs)
    old = Normal(old.loc.detach(), old.scale.detach())
    for epoch in range(3):
        rng.shuffle(b_inds)
        for start in range(0, 64, 16):
            mb = b_inds[start : start + 16]
            _, newlogprob, entropy, newvalue = agent.get_action_and_value(b_obs[mb], b_actions[mb])
            logratio = newlogprob - b_logprobs[mb]
            ratio = logratio.exp()
            with torch.no_grad():
                approx_kl = ((ratio - 1) - logratio).mean()
                clipfracs += [((ratio - 1.0).abs() > 0.2).float().mean().item()]
            adv = b_advantages[mb]
            adv = (adv - adv.mean()) / (adv.std() + 1e-8)
            pg_loss = torch.max(-adv * ratio, -adv * torch.clamp(ratio, 1 - 0.2, 1 + 0.2)).mean()
            newvalue = newvalue.view(-1)
            v_clipped = b_values[mb] + torch.clamp(newvalue - b_values[mb], -0.2, 0.2)
            v_loss = 0.5 * torch.max((newvalue - b_returns[mb]) ** 2, (v_clipped - b_returns[mb]) ** 2).mean()
            loss = pg_loss - 0.01 * entropy.mean() + v_loss * 0.5
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
            optimizer.step()
        if approx_kl > 0.5:
            break
    with torch.no_grad():
        kl = kl_divergence(Independent(old, 1), Independent(agent.dist(b_obs), 1)).mean()
    y_pred, y_true = b_values.cpu().numpy(), b_returns.cpu().numpy()
    var_y = np.var(y_true)
    explained = np.nan if var_y == 0 else 1 - np.var(y_true - y_pred) / var_y
    print(f"{update} pg {pg_loss.item():.3f} v {v_loss.item():.3f} kl {kl.item():.4f} ev {explained:.3f} reward {rewards.mean().item():.3f}")
print(agent)
