"""VQ-VAE with straight-through and EMA codebook, Gumbel-softmax VAE, mixture density net, RealNVP couplings, energy with Langevin, SIREN, tiny NeRF, Hopfield."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F


def fill(m, s=0.3):
    for i, p in enumerate(m.parameters()):
        p.data = torch.cos(torch.arange(p.numel()) * (1.1 + i)).view_as(p) * s
    return m


class VectorQuantizerEMA(nn.Module):
    def __init__(self, num_embeddings, embedding_dim, commitment_cost, decay, epsilon=1e-5):
        super().__init__()
        self._embedding_dim, self._num_embeddings = embedding_dim, num_embeddings
        self._embedding = nn.Embedding(num_embeddings, embedding_dim)
        self._embedding.weight.data = torch.sin(torch.arange(num_embeddings * embedding_dim)).view(num_embeddings, -1).float()
        self._commitment_cost = commitment_cost
        self.register_buffer("_ema_cluster_size", torch.zeros(num_embeddings))
        self._ema_w = nn.Parameter(self._embedding.weight.data.clone())
        self._decay, self._epsilon = decay, epsilon

    def forward(self, inputs):
        inputs = inputs.permute(0, 2, 3, 1).contiguous()
        input_shape = inputs.shape
        flat_input = inputs.view(-1, self._embedding_dim)
        distances = (
            torch.sum(flat_input**2, dim=1, keepdim=True)
            + torch.sum(self._embedding.weight**2, dim=1)
            - 2 * torch.matmul(flat_input, self._embedding.weight.t())
        )
        encoding_indices = torch.argmin(distances, dim=1).unsqueeze(1)
        encodings = torch.zeros(encoding_indices.shape[0], self._num_embeddings, device=inputs.device)
        encodings.scatter_(1, encoding_indices, 1)
        quantized = torch.matmul(encodings, self._embedding.weight).view(input_shape)
        if self.training:
            self._ema_cluster_size = self._ema_cluster_size * self._decay + (1 - self._decay) * torch.sum(encodings, 0)
            n = torch.sum(self._ema_cluster_size.data)
            self._ema_cluster_size = (self._ema_cluster_size + self._epsilon) / (n + self._num_embeddings * self._epsilon) * n
            dw = torch.matmul(encodings.t(), flat_input)
            self._ema_w = nn.Parameter(self._ema_w * self._decay + (1 - self._decay) * dw)
            self._embedding.weight = nn.Parameter(self._ema_w / self._ema_cluster_size.unsqueeze(1))
        e_latent_loss = F.mse_loss(quantized.detach(), inputs)
        loss = self._commitment_cost * e_latent_loss
        quantized = inputs + (quantized - inputs).detach()
        avg_probs = torch.mean(encodings, dim=0)
        perplexity = torch.exp(-torch.sum(avg_probs * torch.log(avg_probs + 1e-10)))
        return loss, quantized.permute(0, 3, 1, 2).contiguous(), perplexity, encodings


enc, dec = fill(nn.Conv2d(1, 3, 2, stride=2)), fill(nn.ConvTranspose2d(3, 1, 4, stride=2, padding=1))
vq = VectorQuantizerEMA(5, 3, 0.25, 0.9)
opt = torch.optim.Adam([*enc.parameters(), *dec.parameters()], lr=1e-2, amsgrad=False)
img = torch.sin(torch.arange(128.0) * 0.3).view(2, 1, 8, 8)
for i in range(4):
    opt.zero_grad()
    vq_loss, q, perplexity, _ = vq(enc(img))
    loss = F.mse_loss(dec(q), img) / 0.5 + vq_loss
    loss.backward()
    opt.step()
print("vq %.5f %.4f" % (loss.item(), perplexity.item()), list(vq.state_dict()))
logits = torch.cos(torch.arange(12.0)).view(3, 4).requires_grad_()
hard = F.gumbel_softmax(logits, tau=0.5, hard=True)
print(hard.sum(-1).data, ((hard == 0) | (hard == 1)).all().item() or hard.detach().round().sum().item())
soft = F.softmax((logits + 0.3) / 0.7, dim=-1)
index = soft.max(-1, keepdim=True)[1]
y_hard = torch.zeros_like(logits, memory_format=torch.legacy_contiguous_format).scatter_(-1, index, 1.0)
ret = y_hard - soft.detach() + soft
(ret * torch.arange(4.0)).sum().backward()
print(ret.data, logits.grad)


class MDN(nn.Module):
    def __init__(self, n_hidden, k):
        super().__init__()
        self.z_h = nn.Sequential(nn.Linear(1, n_hidden), nn.Tanh())
        self.z_pi, self.z_mu, self.z_sigma = nn.Linear(n_hidden, k), nn.Linear(n_hidden, k), nn.Linear(n_hidden, k)

    def forward(self, x):
        z = self.z_h(x)
        return F.softmax(self.z_pi(z), -1), torch.exp(self.z_sigma(z)), self.z_mu(z)


def mdn_loss(pi, sigma, mu, y):
    m = torch.distributions.Normal(loc=mu, scale=sigma)
    loss = torch.exp(m.log_prob(y.expand_as(mu)))
    return -torch.log(torch.sum(loss * pi, dim=1)).mean()


mdn = fill(MDN(8, 3))
opt = torch.optim.Adam(mdn.parameters(), lr=0.02)
xs = torch.linspace(-1, 1, 20).unsqueeze(1)
ys = torch.sin(3 * xs)
for i in range(15):
    loss = mdn_loss(*mdn(xs), ys)
    opt.zero_grad()
    loss.backward()
    opt.step()
pi, sigma, mu = mdn(xs)
mix = torch.distributions.MixtureSameFamily(torch.distributions.Categorical(pi), torch.distributions.Normal(mu, sigma))
print("mdn %.5f %.5f" % (loss.item(), -mix.log_prob(ys.squeeze(1)).mean()), mix.mean[:2].data)


class SineLayer(nn.Module):
    def __init__(self, i, o, is_first=False, omega_0=30):
        super().__init__()
        self.omega_0, self.is_first, self.in_features = omega_0, is_first, i
        self.linear = nn.Linear(i, o)
        with torch.no_grad():
            self.linear.weight.uniform_(-1 / i, 1 / i) if is_first else self.linear.weight.uniform_(
                -math.sqrt(6 / i) / omega_0, math.sqrt(6 / i) / omega_0
            )

    def forward(self, input):
        return torch.sin(self.omega_0 * self.linear(input))


def gradient(y, x, grad_outputs=None):
    if grad_outputs is None:
        grad_outputs = torch.ones_like(y)
    return torch.autograd.grad(y, [x], grad_outputs=grad_outputs, create_graph=True)[0]


def divergence(y, x):
    div = 0.0
    for i in range(y.shape[-1]):
        div += torch.autograd.grad(y[..., i], x, torch.ones_like(y[..., i]), create_graph=True)[0][..., i : i + 1]
    return div


def laplace(y, x):
    return divergence(gradient(y, x), x)


siren = fill(nn.Sequential(SineLayer(2, 8, True, 3), SineLayer(8, 8, False, 3), nn.Linear(8, 1)), 0.2)
opt = torch.optim.Adam(siren.parameters(), lr=1e-3)
tensors = [torch.linspace(-1, 1, steps=5)] * 2
coords = torch.stack(torch.meshgrid(*tensors, indexing="ij"), dim=-1).reshape(-1, 2)
for i in range(3):
    c = coords.clone().detach().requires_grad_(True)
    out = siren(c)
    loss = ((gradient(out, c) - c) ** 2).mean() + 0.01 * laplace(out, c).pow(2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
print("siren %.5f" % loss.item())


def positional_encoding(tensor, num_encoding_functions=3):
    encoding = [tensor]
    for f in 2.0 ** torch.linspace(0.0, num_encoding_functions - 1, num_encoding_functions, dtype=tensor.dtype):
        for func in [torch.sin, torch.cos]:
            encoding.append(func(tensor * f))
    return torch.cat(encoding, dim=-1)


def cumprod_exclusive(tensor):
    cumprod = torch.cumprod(tensor, -1)
    cumprod = torch.roll(cumprod, 1, -1)
    cumprod[..., 0] = 1.0
    return cumprod


nerf = fill(nn.Sequential(nn.Linear(21, 16), nn.ReLU(), nn.Linear(16, 4)), 0.2)
ii, jj = torch.meshgrid(torch.arange(4.0), torch.arange(4.0), indexing="xy")
dirs = torch.stack([(ii - 2) / 5, -(jj - 2) / 5, -torch.ones_like(ii)], dim=-1)
c2w = torch.eye(4)
ray_d = torch.sum(dirs[..., None, :] * c2w[:3, :3], dim=-1)
ray_o = c2w[:3, -1].expand(ray_d.shape)
depth = torch.linspace(2.0, 6.0, 6).to(ray_o)
pts = ray_o[..., None, :] + ray_d[..., None, :] * depth[:, None]
opt = torch.optim.Adam(nerf.parameters(), lr=5e-3)
for it in range(4):
    batches = [positional_encoding(pts.reshape(-1, 3))[i : i + 40] for i in range(0, 96, 40)]
    rf = torch.reshape(torch.cat([nerf(b) for b in batches], 0), [4, 4, 6, 4])
    sigma_a, rgb = F.relu(rf[..., 3]), torch.sigmoid(rf[..., :3])
    one_e_10 = torch.tensor([1e10], dtype=ray_o.dtype)
    dists = torch.cat((depth[..., 1:] - depth[..., :-1], one_e_10.expand(depth[..., :1].shape)), dim=-1)
    alpha = 1.0 - torch.exp(-sigma_a * dists)
    weights = alpha * cumprod_exclusive(1.0 - alpha + 1e-10)
    rgb_map = (weights[..., None] * rgb).sum(dim=-2)
    loss = F.mse_loss(rgb_map, torch.full_like(rgb_map, 0.3))
    opt.zero_grad()
    loss.backward()
    opt.step()
    print("nerf %.5f psnr %.4f" % (loss.item(), -10.0 * torch.log10(loss)))
xi = torch.sign(torch.sin(torch.arange(40.0)).view(4, 10))
state = xi[0].clone()
state[:3] *= -1
for _ in range(3):
    state = F.softmax(4.0 * xi @ state, dim=0) @ xi
print(torch.equal(torch.sign(state), xi[0]))
energy = fill(nn.Sequential(nn.Linear(2, 8), nn.SiLU(), nn.Linear(8, 1)))
z = torch.cos(torch.arange(8.0)).view(4, 2)
for k in range(5):
    z.requires_grad_(True)
    e = energy(z).sum()
    (gr,) = torch.autograd.grad(e, z, only_inputs=True)
    z = (z - 0.5 * gr).clamp_(-2, 2).detach()
print(z)
