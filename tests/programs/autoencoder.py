"""A convolutional autoencoder: strided and transposed convolutions, upsampling, dropout switched off in eval."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class AutoEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.ReLU(True), nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.GroupNorm(2, 6)
        )
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(6, 4, 4, stride=2, padding=1), nn.SiLU(), nn.Upsample(scale_factor=2, mode="nearest"), nn.Dropout(0.3),
            nn.Conv2d(4, 1, 3, padding=1), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, x):
        return self.decoder(self.encoder(x))


i = torch.arange(16)
images = torch.stack([((i[:, None] // k + i[None, :] // k) % 2).float() for k in (2, 3, 4, 5)]).unsqueeze(1)
model = AutoEncoder().eval()
with torch.no_grad():
    for k, (name, p) in enumerate(model.named_parameters()):
        p.copy_(torch.sin(torch.arange(p.numel()) * (0.6 + 0.2 * k)).reshape(p.shape) * 0.4)
optimizer = torch.optim.NAdam(model.parameters(), lr=0.02)
for step in range(25):
    loss = F.binary_cross_entropy(model(images), images)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 6 == 0:
        print(step, f"{loss.item():.5f}")
print(tuple(model.encoder(images).shape), F.interpolate(images, size=4, mode="bilinear", align_corners=False).mean().item())
print(sum(p.numel() for p in model.parameters()), [type(m).__name__ for m in model.modules()][:4])
