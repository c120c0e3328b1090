"""Parametrizations: symmetric, skew, matrix exponential, Cayley; inverses, caching, nesting, removal."""

import torch
import torch.nn as nn
import torch.nn.utils.parametrize as parametrize


class LinearSymmetric(nn.Module):
    def __init__(self, n_features):
        super().__init__()
        self.weight = nn.Parameter(torch.arange(float(n_features**2)).view(n_features, n_features) / 9)

    def symmetric(self, X):
        return X.triu() + X.triu(1).T

    def forward(self, x):
        return x @ self.symmetric(self.weight)


class Symmetric(nn.Module):
    def forward(self, X):
        return X.triu() + X.triu(1).transpose(-1, -2)

    def right_inverse(self, A):
        return A.triu()


class Skew(nn.Module):
    def forward(self, X):
        A = X.triu(1)
        return A - A.transpose(-1, -2)

    def right_inverse(self, A):
        return A.triu(1)


class MatrixExponential(nn.Module):
    def forward(self, X):
        return torch.matrix_exp(X)


class CayleyMap(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.register_buffer("Id", torch.eye(n))

    def forward(self, X):
        return torch.linalg.solve(self.Id - X, self.Id + X)

    def right_inverse(self, A):
        return torch.linalg.solve(A + self.Id, self.Id - A).neg()


class RankK(nn.Module):
    def __init__(self, n, k):
        super().__init__()
        self.U = nn.Parameter(torch.linspace(-1, 1, n * k).reshape(n, k))

    def forward(self, X):
        return X + self.U @ self.U.T


layer = LinearSymmetric(3)
print(layer(torch.ones(8, 3))[0])
layer = nn.Linear(3, 3)
with torch.no_grad():
    layer.weight.copy_(torch.arange(9.0).reshape(3, 3) / 10)
    layer.bias.zero_()
parametrize.register_parametrization(layer, "weight", Symmetric())
A = layer.weight
print(torch.allclose(A, A.T), A)
print(layer)
print("original", layer.parametrizations.weight.original)
symmetric = layer.parametrizations.weight[0]
print(symmetric, parametrize.is_parametrized(layer), parametrize.is_parametrized(layer, "bias"))
print(list(layer.state_dict()), [n for n, _ in layer.named_parameters()])


class NoisyParametrization(nn.Module):
    def forward(self, X):
        print("Computing the Parametrization")
        return X


layer = nn.Linear(4, 4)
with torch.no_grad():
    layer.weight.copy_(torch.eye(4) * 0.3)
parametrize.register_parametrization(layer, "weight", NoisyParametrization())
print("Here, layer.weight is recomputed every time we call it")
foo = layer.weight + layer.weight.T
bar = layer.weight.sum()
with parametrize.cached():
    print("Here, it is computed just the first time layer.weight is called")
    foo = layer.weight + layer.weight.T
    bar = layer.weight.sum()
layer_orthogonal = nn.Linear(3, 3)
with torch.no_grad():
    layer_orthogonal.weight.copy_(torch.linspace(-1, 1, 9).view(3, 3))
parametrize.register_parametrization(layer_orthogonal, "weight", Skew())
parametrize.register_parametrization(layer_orthogonal, "weight", MatrixExponential())
X = layer_orthogonal.weight
print(torch.dist(X.T @ X, torch.eye(3)).item() < 1e-5, X)
layer = nn.Linear(3, 3)
parametrize.register_parametrization(layer, "weight", Skew())
parametrize.register_parametrization(layer, "weight", CayleyMap(3))
W = torch.tensor([[0.0, 0.3, -0.2], [-0.3, 0.0, 0.5], [0.2, -0.5, 0.0]])
layer.weight = torch.linalg.solve(torch.eye(3) - W, torch.eye(3) + W)
print(layer.weight, layer.parametrizations["weight"].original)
parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
print(layer, type(layer).__name__, layer.weight.requires_grad, isinstance(layer.weight, nn.Parameter))
layer = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
parametrize.register_parametrization(layer[0], "weight", RankK(2, 1), unsafe=True)
with torch.no_grad():
    layer[0].parametrizations.weight.original.fill_(0.5)
    layer[0].bias.fill_(0.1)
opt = torch.optim.SGD(layer.parameters(), lr=0.1)
for _ in range(3):
    opt.zero_grad()
    loss = (layer(torch.tensor([[1.0, 2.0]])) - 1).square().sum()
    loss.backward()
    opt.step()
    print(loss.item())
print(list(layer.state_dict()))
try:
    parametrize.register_parametrization(nn.Linear(2, 3), "nothing", Skew())
except ValueError as e:
    print("ValueError", str(e)[:40])
