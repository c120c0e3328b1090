"""FGSM and PGD attacks, a spatial transformer, super resolution with PixelShuffle, style transfer by Gram matrices."""

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim


def fill(m, scale=0.3):
    for i, p in enumerate(m.parameters()):
        p.data.copy_(torch.sin(torch.arange(p.numel()) * (1.1 + 0.3 * i)).view_as(p) * scale)
    return m


class STNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, kernel_size=3)
        self.conv2_drop = nn.Dropout2d()
        self.fc1 = nn.Linear(36, 3)
        self.localization = nn.Sequential(nn.Conv2d(1, 4, kernel_size=3), nn.MaxPool2d(2, stride=2), nn.ReLU(True))
        self.fc_loc = nn.Sequential(nn.Linear(36, 8), nn.ReLU(True), nn.Linear(8, 3 * 2))
        fill(self)
        self.fc_loc[2].weight.data.zero_()
        self.fc_loc[2].bias.data.copy_(torch.tensor([1, 0, 0, 0, 1, 0], dtype=torch.float))

    def stn(self, x):
        xs = self.localization(x).view(-1, 36)
        theta = self.fc_loc(xs).view(-1, 2, 3)
        grid = F.affine_grid(theta, x.size(), align_corners=False)
        return F.grid_sample(x, grid, align_corners=False)

    def forward(self, x):
        x = self.stn(x)
        x = F.relu(F.max_pool2d(self.conv2_drop(self.conv1(x)), 2))
        return F.log_softmax(self.fc1(x.flatten(1)), dim=1)


x = torch.cos(torch.arange(6 * 64).float() * 0.23).view(6, 1, 8, 8)
y = torch.arange(6) % 3
net = STNet().eval()
optimizer = optim.Adagrad(net.parameters(), lr=0.05)
for step in range(6):
    optimizer.zero_grad()
    loss = F.nll_loss(net(x), y)
    loss.backward()
    optimizer.step()
    print(step, f"{loss.item():.4f}")


def fgsm_attack(image, epsilon, data_grad):
    return torch.clamp(image + epsilon * data_grad.sign(), -1, 1)


for epsilon in [0, 0.05, 0.3]:
    correct = 0
    for data, target in zip(x.split(1), y.split(1)):
        data = data.clone().detach()
        data.requires_grad = True
        output = net(data)
        loss = F.nll_loss(output, target)
        net.zero_grad()
        loss.backward()
        data_grad = data.grad.data
        final_pred = net(fgsm_attack(data, epsilon, data_grad)).max(1, keepdim=True)[1]
        correct += int(final_pred.item() == target.item())
    print(f"Epsilon: {epsilon}\tTest Accuracy = {correct} / {len(x)}")
delta = torch.zeros_like(x, requires_grad=True)
for _ in range(4):
    loss = F.nll_loss(net(x + delta), y, reduction="sum")
    loss.backward()
    delta.data = (delta + 0.05 * delta.grad.detach().sign()).clamp(-0.1, 0.1)
    delta.grad.zero_()
print(f"{loss.item():.3f}", f"{delta.abs().max().item():.2f}")

sr = nn.Sequential(nn.Conv2d(1, 8, 5, 1, 2), nn.ReLU(), nn.Conv2d(8, 2**2, 3, 1, 1), nn.PixelShuffle(2))
for m in sr:
    if isinstance(m, nn.Conv2d):
        nn.init.orthogonal_(m.weight, nn.init.calculate_gain("relu"))
fill(sr)
low = F.interpolate(x, scale_factor=0.5, mode="bicubic", align_corners=False)
opt = optim.Adam(sr.parameters(), lr=1e-2)
for epoch in range(5):
    opt.zero_grad()
    loss = F.mse_loss(sr(low), x)
    loss.backward()
    opt.step()
print(f"PSNR {10 * torch.log10(1 / loss).item():.3f}", sr(low).shape)


def gram_matrix(input):
    a, b, c, d = input.size()
    features = input.view(a * b, c * d)
    return torch.mm(features, features.t()).div(a * b * c * d)


class StyleLoss(nn.Module):
    def __init__(self, target):
        super().__init__()
        self.target = gram_matrix(target).detach()

    def forward(self, input):
        self.loss = F.mse_loss(gram_matrix(input), self.target)
        return input


conv = fill(nn.Conv2d(1, 4, 3))
content, style = x[:1], x[1:2].flip(2)
style_loss = StyleLoss(conv(style))
model = nn.Sequential(conv, style_loss).requires_grad_(False)
input_img = content.clone().requires_grad_(True)
opt = optim.LBFGS([input_img])
run, first = [0], []
while run[0] <= 20:

    def closure():
        with torch.no_grad():
            input_img.clamp_(-1, 1)
        opt.zero_grad()
        model(input_img)
        loss = 1e3 * style_loss.loss + F.mse_loss(input_img, content)
        loss.backward()
        run[0] += 1
        first.append(loss.item())
        return loss

    loss = opt.step(closure)
print(run[0] > 20, *[f"{value:.3f}" for value in first[:4]])  # rounding decides about later ones, as the image is clamped
