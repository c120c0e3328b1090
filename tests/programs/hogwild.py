"""An MNIST-style main with argparse, worker processes sharing a model (hogwild), and evaluation."""

import argparse

import torch
import torch.multiprocessing as mp
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.optim.lr_scheduler import StepLR


class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.conv1 = nn.Conv2d(1, 4, 3, 1)
        self.conv2 = nn.Conv2d(4, 6, 3, 1)
        self.dropout1 = nn.Dropout(0.0)
        self.fc1 = nn.Linear(24, 8)
        self.fc2 = nn.Linear(8, 4)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.relu(self.conv2(x))
        x = F.max_pool2d(x, 2)
        x = torch.flatten(self.dropout1(x), 1)
        return F.log_softmax(self.fc2(F.relu(self.fc1(x))), dim=1)


def images(n):
    data = torch.zeros(n, 1, 8, 8)
    for i in range(n):
        k = i % 4
        data[i, 0, (k // 2) * 4 : (k // 2) * 4 + 4, (k % 2) * 4 : (k % 2) * 4 + 4] = 1 + 0.1 * (i % 7)
    return torch.utils.data.TensorDataset(data, torch.arange(n) % 4)


def train(args, model, device, train_loader, optimizer, epoch):
    model.train()
    for batch_idx, (data, target) in enumerate(train_loader):
        data, target = data.to(device), target.to(device)
        optimizer.zero_grad()
        output = model(data)
        loss = F.nll_loss(output, target)
        loss.backward()
        optimizer.step()
        if batch_idx % args.log_interval == 0:
            print(f"Train Epoch: {epoch} [{batch_idx * len(data)}/{len(train_loader.dataset)} ({100.0 * batch_idx / len(train_loader):.0f}%)]\tLoss: {loss.item():.4f}")


def test(model, device, test_loader):
    model.eval()
    test_loss, correct = 0, 0
    with torch.no_grad():
        for data, target in test_loader:
            output = model(data.to(device))
            test_loss += F.nll_loss(output, target, reduction="sum").item()
            pred = output.argmax(dim=1, keepdim=True)
            correct += pred.eq(target.view_as(pred)).sum().item()
    print(f"\nTest set: Average loss: {test_loss / len(test_loader.dataset):.4f}, Accuracy: {correct}/{len(test_loader.dataset)}")


def work(rank, model):
    torch.manual_seed(rank)
    optimizer = optim.SGD(model.parameters(), lr=0.05)
    for data, target in torch.utils.data.DataLoader(images(16), batch_size=8):
        optimizer.zero_grad()
        F.nll_loss(model(data), target).backward()
        optimizer.step()


def main():
    parser = argparse.ArgumentParser(description="PyTorch MNIST Example")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--gamma", type=float, default=0.7)
    parser.add_argument("--no-accel", action="store_true")
    parser.add_argument("--log-interval", type=int, default=2)
    args = parser.parse_args()
    use_accel = not args.no_accel and torch.accelerator.is_available()
    device = torch.accelerator.current_accelerator() if use_accel else torch.device("cpu")
    model = Net().to(device)
    for i, p in enumerate(model.parameters()):
        p.data.copy_(torch.sin(torch.arange(p.numel()) * (1.2 + i)).view_as(p) * 0.3)
    optimizer = optim.Adadelta(model.parameters(), lr=1.0)
    train_loader = torch.utils.data.DataLoader(images(32), batch_size=args.batch_size)
    scheduler = StepLR(optimizer, step_size=1, gamma=args.gamma)
    for epoch in range(1, args.epochs + 1):
        train(args, model, device, train_loader, optimizer, epoch)
        test(model, device, train_loader)
        scheduler.step()
    before = [p.detach().clone() for p in model.parameters()]
    model.share_memory()
    processes = []
    for rank in range(2):
        p = mp.get_context("fork").Process(target=work, args=(rank, model))
        p.start()
        processes.append(p)
    for p in processes:
        p.join()
    print(all(p.exitcode == 0 for p in processes), any(not torch.equal(a, b) for a, b in zip(before, model.parameters())))


if __name__ == "__main__":
    main()
