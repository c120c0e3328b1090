"""WGAN-GP: gradient penalty by create_graph, two critics a generator step, spectral norm variant."""

import numpy as np
import torch
import torch.autograd as autograd
import torch.nn as nn
from torch.autograd import Variable
from torch.nn.utils import spectral_norm
from torch.nn.utils.parametrizations import spectral_norm as new_spectral_norm

cuda = True if torch.cuda.is_available() else False
Tensor = torch.cuda.FloatTensor if cuda else torch.FloatTensor
rng = np.random.RandomState(0)


def fill(m, k):
    for i, p in enumerate(m.parameters()):
        p.data = torch.cos(torch.arange(p.numel()).float() * (k + i)).view(p.shape) * 0.4


G = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 2))
D = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))
fill(G, 1.0)
fill(D, 1.5)
optimizer_G = torch.optim.Adam(G.parameters(), lr=1e-2, betas=(0.0, 0.9))
optimizer_D = torch.optim.Adam(D.parameters(), lr=1e-2, betas=(0.0, 0.9))


def compute_gradient_penalty(D, real_samples, fake_samples):
    alpha = Tensor(rng.random_sample((real_samples.size(0), 1)))
    interpolates = (alpha * real_samples + ((1 - alpha) * fake_samples)).requires_grad_(True)
    d_interpolates = D(interpolates)
    fake = Variable(Tensor(real_samples.shape[0], 1).fill_(1.0), requires_grad=False)
    gradients = autograd.grad(
        outputs=d_interpolates, inputs=interpolates, grad_outputs=fake, create_graph=True, retain_graph=True, only_inputs=True
    )[0]
    gradients = gradients.view(gradients.size(0), -1)
    return ((gradients.norm(2, dim=1) - 1) ** 2).mean()


for it in range(12):
    real_imgs = Variable(Tensor(rng.randn(16, 2) * 0.1 + [1.0, -1.0]))
    optimizer_D.zero_grad()
    z = Variable(Tensor(rng.normal(0, 1, (16, 2))))
    fake_imgs = G(z)
    gradient_penalty = compute_gradient_penalty(D, real_imgs.data, fake_imgs.data)
    d_loss = -torch.mean(D(real_imgs)) + torch.mean(D(fake_imgs)) + 10 * gradient_penalty
    d_loss.backward()
    optimizer_D.step()
    if it % 3 == 0:
        optimizer_G.zero_grad()
        g_loss = -torch.mean(D(G(z)))
        g_loss.backward()
        optimizer_G.step()
        print("[D loss: %f] [G loss: %f]" % (d_loss.item(), g_loss.item()))

critic = new_spectral_norm(nn.Linear(4, 3))
fill(critic, 0.5)
old = spectral_norm(nn.Linear(4, 3))
x = torch.ones(2, 4)
for _ in range(60):
    critic(x), old(x)
critic.eval()
print(torch.linalg.matrix_norm(critic.weight, 2).item(), sorted(critic.state_dict()), sorted(old.state_dict()))
