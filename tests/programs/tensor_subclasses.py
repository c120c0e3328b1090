"""Extending torch: a class beside tensors with its own functions, subclasses that log and carry metadata, and a mode."""

import functools

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode, handle_torch_function, has_torch_function

HANDLED_FUNCTIONS = {}


def implements(torch_function):
    """Register an override of a function for ScalarTensor."""

    def decorator(func):
        functools.update_wrapper(func, torch_function)
        HANDLED_FUNCTIONS[torch_function] = func
        return func

    return decorator


class ScalarTensor:
    """A multiple of the unit matrix."""

    def __init__(self, size, value):
        self.size, self.value = size, value

    def __repr__(self):
        return f"ScalarTensor(size={self.size}, value={self.value})"

    def tensor(self):
        return self.value * torch.eye(self.size)

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func not in HANDLED_FUNCTIONS or not all(issubclass(t, (torch.Tensor, ScalarTensor)) for t in types):
            return NotImplemented
        return HANDLED_FUNCTIONS[func](*args, **kwargs)


def dense(x):
    return x.tensor() if isinstance(x, ScalarTensor) else x


@implements(torch.mean)
def mean(input):
    return float(input.value) / input.size


@implements(torch.add)
def add(input, other):
    if isinstance(input, ScalarTensor) and isinstance(other, ScalarTensor):
        return ScalarTensor(input.size, input.value + other.value)
    return torch.add(dense(input), dense(other))


@implements(F.relu)
def relu(input, inplace=False):
    return ScalarTensor(input.size, max(input.value, 0))


s = ScalarTensor(2, 2)
print(s, torch.mean(s), torch.add(s, s), mean.__name__)
print(torch.add(s, torch.tensor([[1, 1], [1, 1]])))
print(F.relu(ScalarTensor(2, -3)))
try:
    torch.mul(s, 3)
except TypeError as error:
    print("TypeError", "torch.mul" in str(error))


class LoggingTensor(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func is not torch.Tensor.__repr__:
            print(f"func: {func.__name__}, args: {args!r}, kwargs: {kwargs!r}")
        return super().__torch_function__(func, types, args, kwargs or {})


x = LoggingTensor([1.0, 2.0])
y = torch.tensor([3.0, 4.0])
print(x + y, y * x, torch.exp(x), x.sum(dim=0))
print(x.shape, torch.stack([x, y]))


class SubTensor(torch.Tensor):
    pass


class BaseTensor(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return super().__torch_function__(func, types, args, kwargs or {})


print(type(torch.add(SubTensor([0]), SubTensor([1]))).__name__, type(SubTensor([0]) + torch.tensor([1])).__name__)
try:
    torch.add(SubTensor([0]), BaseTensor([1]))
except TypeError:
    print("two classes, neither of which is a base of the other")


class MetadataTensor:
    """A tensor with something beside it, which results inherit."""

    def __init__(self, data, metadata=None, **kwargs):
        self._t = torch.as_tensor(data, **kwargs)
        self._metadata = metadata

    def __repr__(self):
        return f"Metadata:\n{self._metadata}\n\ndata:\n{self._t}"

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        metadatas = tuple(a._metadata for a in args if hasattr(a, "_metadata"))
        args = [getattr(a, "_t", a) for a in args]
        assert len(metadatas) > 0
        return MetadataTensor(func(*args, **(kwargs or {})), metadata=metadatas[0])


metadata = {"owner": "Ministry of Silly Walks"}
m = MetadataTensor([[1, 2], [3, 4]], metadata=metadata)
t = torch.tensor([[1, 2], [1, 2]])
print(torch.add(t, m))
print(torch.mul(t, m))
print(torch.matmul(m, t)._t, (t + m)._t, t.mul(m)._metadata)


def weighted(input, weight=1.0):
    """A function of one's own that others may override."""
    if has_torch_function((input,)):
        return handle_torch_function(weighted, (input,), input, weight=weight)
    return input * weight


HANDLED_FUNCTIONS[weighted] = lambda input, weight: ScalarTensor(input.size, input.value * weight)
print(weighted(s, 2.0), weighted(torch.ones(2), 2.0), type(weighted(SubTensor([1.0]), 3.0)).__name__)


class Module(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.scale = nn.Parameter(SubTensor([2.0, 3.0]))

    def forward(self, x):
        return torch.tanh(self.linear(x)) * self.scale


net = Module()
with torch.no_grad():
    net.linear.weight.copy_(torch.tensor([[0.1, 0.2], [0.3, 0.4]]))
    net.linear.bias.zero_()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for _ in range(3):
    optimizer.zero_grad()
    loss = F.mse_loss(net(SubTensor([[1.0, -1.0]])), torch.zeros(1, 2))
    loss.backward()
    optimizer.step()
    print(type(loss).__name__, f"{loss.item():.6f}")
print(net.scale, type(net.linear.weight).__name__, type(net.linear.weight.grad).__name__)


class FunctionLog(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        print(f"Function Log: {torch.overrides.resolve_name(func)}(*{len(args)})")
        return func(*args, **(kwargs or {}))


with FunctionLog():
    a = torch.ones(2, requires_grad=True)
    b = torch.sin(a) + 1
    c = torch.sum(b * a)
print(c.grad_fn.name())
