"""Sub-pixel convolution: orthogonal init replaced by fixed weights, PixelShuffle, PSNR, DataLoader, Dataset from arrays."""

from math import log10

import numpy as np
import torch
import torch.nn as nn
import torch.nn.init as init
import torch.optim as optim
import torch.utils.data as data
from torch.utils.data import DataLoader


class DatasetFromArrays(data.Dataset):
    def __init__(self, images, input_transform=None, target_transform=None):
        super(DatasetFromArrays, self).__init__()
        self.images = images
        self.input_transform = input_transform
        self.target_transform = target_transform

    def __getitem__(self, index):
        input = self.images[index]
        target = input.copy()
        if self.input_transform:
            input = self.input_transform(input)
        if self.target_transform:
            target = self.target_transform(target)
        return input, target

    def __len__(self):
        return len(self.images)


class Compose:
    def __init__(self, transforms):
        self.transforms = transforms

    def __call__(self, x):
        for t in self.transforms:
            x = t(x)
        return x

    def __repr__(self):
        return "Compose(" + ", ".join(type(t).__name__ for t in self.transforms) + ")"


def shrink(x):
    return torch.nn.functional.interpolate(x[None], scale_factor=0.5, mode="bicubic", align_corners=False)[0].clamp_(0, 1)


def to_tensor(x):
    return torch.from_numpy(x).float().div(255).unsqueeze(0)


class Net(nn.Module):
    def __init__(self, upscale_factor):
        super(Net, self).__init__()
        self.relu = nn.ReLU()
        self.conv1 = nn.Conv2d(1, 8, (5, 5), (1, 1), (2, 2))
        self.conv2 = nn.Conv2d(8, 8, (3, 3), (1, 1), (1, 1))
        self.conv3 = nn.Conv2d(8, 4, (3, 3), (1, 1), (1, 1))
        self.conv4 = nn.Conv2d(4, upscale_factor**2, (3, 3), (1, 1), (1, 1))
        self.pixel_shuffle = nn.PixelShuffle(upscale_factor)
        self._initialize_weights()

    def forward(self, x):
        x = self.relu(self.conv1(x))
        x = self.relu(self.conv2(x))
        x = self.relu(self.conv3(x))
        return self.pixel_shuffle(self.conv4(x))

    def _initialize_weights(self):
        init.orthogonal_(self.conv1.weight, init.calculate_gain("relu"))
        init.orthogonal_(self.conv4.weight)
        w = self.conv1.weight.view(8, -1)
        print(torch.allclose(w @ w.T, 2 * torch.eye(8), atol=1e-5))


rng = np.random.RandomState(3)
images = rng.randint(0, 256, (12, 16, 16)).astype(np.uint8)
train_set = DatasetFromArrays(images[:8], Compose([to_tensor, shrink]), Compose([to_tensor]))
test_set = DatasetFromArrays(images[8:], Compose([to_tensor, shrink]), to_tensor)
print(train_set.input_transform)
training_data_loader = DataLoader(dataset=train_set, num_workers=0, batch_size=4, shuffle=False)
testing_data_loader = DataLoader(dataset=test_set, num_workers=0, batch_size=2, shuffle=False)
model = Net(upscale_factor=2)
for k, (name, p) in enumerate(sorted(model.named_parameters())):
    p.data.copy_(torch.from_numpy(rng.normal(0, 0.2, p.shape)))
criterion = nn.MSELoss()
optimizer = optim.Adam(model.parameters(), lr=0.01)
for epoch in range(1, 4):
    epoch_loss = 0
    for iteration, batch in enumerate(training_data_loader, 1):
        input, target = batch[0], batch[1]
        optimizer.zero_grad()
        loss = criterion(model(input), target)
        epoch_loss += loss.item()
        loss.backward()
        optimizer.step()
        print(f"===> Epoch[{epoch}]({iteration}/{len(training_data_loader)}): Loss: {loss.item():.4f}")
    avg_psnr = 0
    with torch.no_grad():
        for batch in testing_data_loader:
            mse = criterion(model(batch[0]), batch[1])
            avg_psnr += 10 * log10(1 / mse.item())
    print(f"===> Avg. PSNR: {avg_psnr / len(testing_data_loader):.4f} dB")
img = model(train_set[0][0].unsqueeze(0))[0].detach()
out = (img * 255).clip(0, 255).to(torch.uint8)
print(out.shape, out.dtype, out.float().mean())
print(model)
