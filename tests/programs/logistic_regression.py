"""Logistic regression of two noisy clouds, with BCEWithLogitsLoss and accuracy."""

import numpy as np
import torch
import torch.nn as nn

rng = np.random.RandomState(3)
points = np.concatenate([rng.randn(80, 2) + [1.0, 1.5], rng.randn(80, 2) - [1.0, 0.5]]).astype("float32")
X = torch.from_numpy(points)
y = torch.cat([torch.ones(80, 1), torch.zeros(80, 1)])


class LogisticRegression(nn.Module):
    def __init__(self, n):
        super(LogisticRegression, self).__init__()
        self.linear = nn.Linear(n, 1)

    def forward(self, x):
        return self.linear(x)


model = LogisticRegression(2)
nn.init.zeros_(model.linear.weight)
nn.init.constant_(model.linear.bias, 0.1)
criterion = nn.BCEWithLogitsLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
for epoch in range(50):
    logits = model(X)
    loss = criterion(logits, y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if (epoch + 1) % 10 == 0:
        predicted = torch.sigmoid(logits).round()
        accuracy = predicted.eq(y).sum() / float(y.shape[0])
        print(f"epoch {epoch + 1}: loss = {loss.item():.5f}, accuracy = {accuracy.item():.4f}")
for name, p in model.named_parameters():
    print(name, p.data.flatten().tolist())
