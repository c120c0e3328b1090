"""A small convolutional network with batch normalisation on synthetic images of bars, with Adam."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.utils.data import DataLoader, TensorDataset


def bars(n, seed):
    rng = np.random.RandomState(seed)
    images = 0.3 * rng.randn(n, 1, 12, 12)
    labels = rng.randint(0, 3, n)
    for image, label in zip(images, labels):
        k = rng.randint(2, 10)
        if label == 0:
            image[0, k] += 1
        elif label == 1:
            image[0, :, k] += 1
        else:
            image[0] += np.eye(12)
    return torch.tensor(images, dtype=torch.float32), torch.from_numpy(labels).long()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(6)
        self.conv2 = nn.Conv2d(6, 8, kernel_size=3, padding=1)
        self.pool = nn.MaxPool2d(2, 2)
        self.fc1 = nn.Linear(8 * 2 * 2, 16)
        self.fc2 = nn.Linear(16, 3)

    def forward(self, x):
        x = self.pool(F.relu(self.bn1(self.conv1(x))))
        x = self.pool(F.relu(self.conv2(x)))
        x = torch.flatten(x, 1)
        return F.log_softmax(self.fc2(F.relu(self.fc1(x))), dim=1)


net = Net()
with torch.no_grad():
    for i, (name, p) in enumerate(net.named_parameters()):
        if "bn" not in name:
            p.copy_(torch.cos(torch.arange(p.numel(), dtype=torch.float) * (0.9 + 0.13 * i)).view_as(p) * 0.3)
print(sum(p.numel() for p in net.parameters() if p.requires_grad))
loader = DataLoader(TensorDataset(*bars(120, 0)), batch_size=20, shuffle=False)
optimizer = optim.Adam(net.parameters(), lr=0.005)
for epoch in range(4):
    running_loss = 0.0
    for inputs, labels in loader:
        optimizer.zero_grad()
        loss = F.nll_loss(net(inputs), labels)
        loss.backward()
        optimizer.step()
        running_loss += loss.item()
    print(f"[{epoch + 1}] loss: {running_loss / len(loader):.4f}")
net.eval()
with torch.no_grad():
    images, labels = bars(60, 1)
    _, predicted = torch.max(net(images), 1)
    print("accuracy", (predicted == labels).sum().item() / labels.size(0))
print(net.bn1.running_mean.tolist(), net.bn1.num_batches_tracked.item())
