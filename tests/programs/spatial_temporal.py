"""Spatial transformer (affine_grid, grid_sample), temporal convolution with weight norm and chomp, highway, pointer attention, memory network, adaptive softmax, spectral mixing."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils import weight_norm
from torch.nn.utils.parametrizations import orthogonal
from torch.nn.utils.parametrizations import weight_norm as new_weight_norm


def fill(m, s=0.2):
    for i, p in enumerate(m.parameters()):
        p.data = torch.cos(torch.arange(p.numel()) * (1.1 + i)).view_as(p) * s
    return m


class STN(nn.Module):
    def __init__(self):
        super(STN, self).__init__()
        self.conv1 = nn.Conv2d(1, 4, kernel_size=3)
        self.conv2_drop = nn.Dropout2d(p=0.0)
        self.fc1 = nn.Linear(4 * 5 * 5, 3)
        self.localization = nn.Sequential(
            nn.Conv2d(1, 4, kernel_size=3),
            nn.MaxPool2d(2, stride=2),
            nn.ReLU(True),
            nn.Conv2d(4, 5, kernel_size=2),
            nn.MaxPool2d(2, stride=2),
            nn.ReLU(True),
        )
        self.fc_loc = nn.Sequential(nn.Linear(5 * 2 * 2, 8), nn.ReLU(True), nn.Linear(8, 3 * 2))

    def stn(self, x):
        xs = self.localization(x)
        xs = xs.view(-1, 5 * 2 * 2)
        theta = self.fc_loc(xs)
        theta = theta.view(-1, 2, 3)
        grid = F.affine_grid(theta, x.size(), align_corners=False)
        return F.grid_sample(x, grid, align_corners=False, padding_mode="border")

    def forward(self, x):
        x = self.stn(x)
        x = F.relu(F.max_pool2d(self.conv2_drop(self.conv1(x)), 2))
        return F.log_softmax(self.fc1(x.view(-1, 4 * 5 * 5)), dim=1)


class Chomp1d(nn.Module):
    def __init__(self, chomp_size):
        super().__init__()
        self.chomp_size = chomp_size

    def forward(self, x):
        return x[:, :, : -self.chomp_size].contiguous()


class TemporalBlock(nn.Module):
    def __init__(self, n_inputs, n_outputs, kernel_size, dilation, norm):
        super().__init__()
        pad = (kernel_size - 1) * dilation
        self.conv1 = norm(nn.Conv1d(n_inputs, n_outputs, kernel_size, stride=1, padding=pad, dilation=dilation))
        self.conv2 = norm(nn.Conv1d(n_outputs, n_outputs, kernel_size, stride=1, padding=pad, dilation=dilation))
        self.net = nn.Sequential(self.conv1, Chomp1d(pad), nn.ReLU(), nn.Dropout(0.0), self.conv2, Chomp1d(pad), nn.ReLU())
        self.downsample = nn.Conv1d(n_inputs, n_outputs, 1) if n_inputs != n_outputs else None
        self.init_weights()

    def init_weights(self):
        self.conv1.weight.data.normal_(0, 0.01)

    def forward(self, x):
        res = x if self.downsample is None else self.downsample(x)
        return F.relu(self.net(x) + res)


class Highway(nn.Module):
    def __init__(self, size, num_layers):
        super().__init__()
        self.nonlinear = nn.ModuleList([nn.Linear(size, size) for _ in range(num_layers)])
        self.gate = nn.ModuleList([nn.Linear(size, size) for _ in range(num_layers)])

    def forward(self, x):
        for layer in range(len(self.gate)):
            gate = torch.sigmoid(self.gate[layer](x))
            x = gate * F.relu(self.nonlinear[layer](x)) + (1 - gate) * x
        return x


class Pointer(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.enc, self.cell = nn.LSTM(2, d, batch_first=True), nn.LSTMCell(2, d)
        self.w1, self.w2, self.v = nn.Linear(d, d, bias=False), nn.Linear(d, d, bias=False), nn.Parameter(torch.zeros(d))
        self.start = nn.Parameter(torch.zeros(2))

    def forward(self, x):
        b, n, _ = x.shape
        outs, (h, c) = self.enc(x)
        h, c = h.squeeze(0), c.squeeze(0)
        inp, mask, logps, picks = self.start.expand(b, -1), torch.zeros(b, n, dtype=torch.bool), [], []
        for _ in range(n):
            h, c = self.cell(inp, (h, c))
            scores = torch.tanh(self.w1(outs) + self.w2(h).unsqueeze(1)) @ self.v
            logp = F.log_softmax(scores.masked_fill(mask, -1e9), -1)
            idx = logp.argmax(-1)
            mask = mask.scatter(1, idx.unsqueeze(1), True)
            inp = x.gather(1, idx.view(b, 1, 1).expand(-1, -1, 2)).squeeze(1)
            logps.append(logp.gather(1, idx[:, None]))
            picks.append(idx)
        return torch.cat(logps, 1).sum(1), torch.stack(picks, 1)


x = torch.sin(torch.arange(3 * 144) * 0.3).view(3, 1, 12, 12)
stn = fill(STN())
stn.fc_loc[2].weight.data.zero_()
stn.fc_loc[2].bias.data.copy_(torch.tensor([1, 0, 0, 0, 1, 0], dtype=torch.float))
opt = torch.optim.SGD(stn.parameters(), lr=0.05)
for i in range(4):
    opt.zero_grad()
    loss = F.nll_loss(stn(x), torch.tensor([0, 2, 1]))
    loss.backward()
    opt.step()
    print("stn %.5f" % loss.item())
print(stn.fc_loc[2].bias.data)
seq = torch.sin(torch.arange(2 * 3 * 10) * 0.4).view(2, 3, 10)
for norm in (weight_norm, new_weight_norm):
    tcn = nn.Sequential(TemporalBlock(3, 4, 3, 1, norm), TemporalBlock(4, 4, 3, 2, norm))
    fill(tcn)
    opt = torch.optim.Adam(tcn.parameters(), lr=1e-2)
    for i in range(4):
        opt.zero_grad()
        loss = (tcn(seq)[:, :, -1] - 0.5).pow(2).mean()
        loss.backward()
        opt.step()
    print("tcn %.5f" % loss.item(), sorted(tcn.state_dict())[:4])
hw = fill(Highway(6, 2))
print(hw(torch.linspace(-1, 1, 12).view(2, 6)).sum().item())
ptr = fill(Pointer(6), 0.4)
lp, order = ptr(torch.cos(torch.arange(20.0)).view(2, 5, 2))
(-lp.mean()).backward()
print(lp.data, order.tolist(), ptr.v.grad.norm(), ptr.start.grad)
asm = fill(nn.AdaptiveLogSoftmaxWithLoss(6, 12, cutoffs=[4, 8], div_value=2.0))
out, loss = asm(torch.cos(torch.arange(30.0)).view(5, 6), torch.tensor([0, 3, 5, 9, 11]))
print(out.data, loss.item(), asm.predict(torch.cos(torch.arange(30.0)).view(5, 6)))
lin = orthogonal(nn.Linear(4, 4, bias=False))
print(torch.allclose(lin.weight @ lin.weight.T, torch.eye(4), atol=1e-5))
img = torch.arange(32.0).view(1, 2, 4, 4)
print(
    F.unfold(img, 2, stride=2).shape,
    F.fold(F.unfold(img, 2, stride=2), (4, 4), 2, stride=2).equal(img),
    F.pixel_unshuffle(img, 2).shape,
    F.interpolate(img, size=(6, 6), mode="bilinear", antialias=True).sum().item(),
    F.adaptive_max_pool2d(img, (2, None)).shape,
    F.pad(img, (1, 2, 0, 1), mode="replicate").sum().item(),
    F.lp_pool2d(img, 2, 2).sum().item(),
    F.local_response_norm(img, 2).sum().item(),
)
print(
    F.max_unpool2d(*F.max_pool2d(img, 2, return_indices=True), 2).sum().item(),
    F.cosine_similarity(img[0, 0], img[0, 1]).data,
    F.glu(img, 1).sum().item(),
)
ev = nn.EmbeddingBag(6, 3, mode="mean", include_last_offset=True)
fill(ev)
print(ev(torch.tensor([1, 2, 4, 5, 4]), torch.tensor([0, 2, 5])), ev.weight.shape)
ctc = F.ctc_loss(
    F.log_softmax(torch.cos(torch.arange(60.0)).view(5, 3, 4), -1), torch.tensor([[1, 2], [3, 3], [2, 0]]), (5, 5, 4), (2, 2, 1)
)
print(ctc.item())
