"""Autograd in depth: custom Functions with double backward and jvp, saved-tensor hooks, graph walking, forward mode, anomaly, checkpoint variants, function transforms."""

import os
import tempfile
import uuid

import torch
import torch.autograd.forward_ad as fwAD
import torch.nn as nn
from torch.autograd import Function, gradcheck, gradgradcheck
from torch.autograd.graph import save_on_cpu, saved_tensors_hooks
from torch.func import hessian, jacfwd, jacrev, jvp, vjp, vmap
from torch.utils.checkpoint import checkpoint, checkpoint_sequential


class Cube(Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x**3, 3 * x**2

    @staticmethod
    def setup_context(ctx, inputs, output):
        (x,) = inputs
        result, dx = output
        ctx.save_for_backward(x, dx)
        ctx.save_for_forward(x, dx)
        ctx.mark_non_differentiable()

    @staticmethod
    def backward(ctx, grad_output, grad_dx):
        x, dx = ctx.saved_tensors
        return grad_output * dx + grad_dx * 6 * x

    @staticmethod
    def jvp(ctx, x_t):
        x, dx = ctx.saved_tensors
        return x_t * dx, x_t * 6 * x


def cube(x):
    return Cube.apply(x)[0]


x = torch.tensor([1.0, 2.0, -1.5], dtype=torch.double, requires_grad=True)
print(gradcheck(cube, (x,)), gradgradcheck(cube, (x,)), torch.autograd.grad(cube(x).sum(), x)[0])
print(
    hessian(lambda t: cube(t).sum())(x.detach()).diagonal(),
    vmap(cube)(x.detach()),
    jvp(cube, (x.detach(),), (torch.ones_like(x),))[1],
)


class Exp(Function):
    @staticmethod
    def forward(ctx, i, scale=1.0, *, _unused=None):
        result = (i * scale).exp()
        ctx.save_for_backward(result)
        ctx.scale = scale
        ctx.set_materialize_grads(False)
        return result

    @staticmethod
    def backward(ctx, grad_output):
        if grad_output is None:
            return None, None
        (result,) = ctx.saved_tensors
        print("needs", ctx.needs_input_grad)
        return grad_output * result * ctx.scale, None


y = Exp.apply(x, 0.5)
print(y.grad_fn.name(), type(y.grad_fn).__name__, y.grad_fn.next_functions[0][0].variable is x)
y.sum().backward()
print(x.grad)


class ClampSTE(Function):
    @staticmethod
    def forward(ctx, input):
        ctx.mark_dirty(input)
        return input.clamp_(-1, 1)

    @staticmethod
    def backward(ctx, g):
        return g.clone()


z = x * 1
ClampSTE.apply(z).sum().backward()
print(z, x.grad)
folder = tempfile.mkdtemp()


class SelfDeletingTempFile:
    def __init__(self):
        self.name = os.path.join(folder, str(uuid.uuid4()))

    def __del__(self):
        os.remove(self.name)


def save_on_disk(t):
    f = SelfDeletingTempFile()
    torch.save(t, f.name)
    return f


def load_from_disk(f):
    return torch.load(f.name)


a = torch.ones(5, requires_grad=True)
with saved_tensors_hooks(save_on_disk, load_from_disk):
    b = a.exp() * a
print(len(os.listdir(folder)) > 0)
b.sum().backward()
del b
print(a.grad, len(os.listdir(folder)))
with save_on_cpu(pin_memory=False):
    c = (a * a).sin().sum()
c.backward()
print(a.grad[0])


def walk(fn, depth=0, out=None):
    out = [] if out is None else out
    if fn is not None:
        out.append("  " * depth + fn.name())
        for nxt, _ in fn.next_functions:
            walk(nxt, depth + 1, out)
    return out


w = torch.ones(2, 3, requires_grad=True)
print("\n".join(walk(((w @ w.t()).relu() + w.sum(0).mean()).log_softmax(0).sum().grad_fn)))
with fwAD.dual_level():
    dual = fwAD.make_dual(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 0.5]))
    out = dual.sin() * dual
    primal, tangent = fwAD.unpack_dual(out)
    print(primal, tangent)
net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Dropout(0.0), nn.Linear(4, 2), nn.Sigmoid())
for i, p in enumerate(net.parameters()):
    p.data = torch.cos(torch.arange(p.numel()) * (1.1 + i)).view_as(p) * 0.5
inp = torch.linspace(-1, 1, 6).view(2, 3).requires_grad_()
grads = []
for f in (
    lambda t: net(t),
    lambda t: checkpoint(net, t, use_reentrant=False),
    lambda t: checkpoint(net, t, use_reentrant=True),
    lambda t: checkpoint_sequential(net, 2, t, use_reentrant=False),
):
    net.zero_grad()
    inp.grad = None
    f(inp).pow(2).sum().backward()
    grads.append((net[0].weight.grad.clone(), inp.grad.clone()))
print(all(torch.allclose(g[0], grads[0][0]) and torch.allclose(g[1], grads[0][1]) for g in grads))
J1, J2 = jacrev(net)(inp[0].detach()), jacfwd(net)(inp[0].detach())
print(torch.allclose(J1, J2), J1, torch.autograd.functional.jacobian(net, inp[0]).shape)
_, vjp_fn = vjp(net, inp[0].detach())
print(vjp_fn(torch.ones(2))[0].detach(), torch.autograd.functional.vhp(lambda t: net(t).sum(), inp[0], torch.ones(3))[1])
with torch.autograd.set_detect_anomaly(True):
    try:
        t = torch.tensor([-1.0], requires_grad=True)
        torch.sqrt(t).sum().backward()
    except RuntimeError as e:
        print("RuntimeError", "nan" in str(e))
h = inp.register_hook(lambda g: g * 10)
inp.grad = None
net(inp).sum().backward()
h.remove()
print(inp.grad.abs().max(), torch.is_grad_enabled(), torch.is_inference_mode_enabled())
try:
    v = torch.ones(2, requires_grad=True)
    u = v.exp()
    u.add_(1)
    u.sum().backward()
except RuntimeError as e:
    print("modified by an inplace operation" in str(e))
try:
    v.add_(1)
except RuntimeError as e:
    print(type(e).__name__)
try:
    torch.ones(2).sum().backward()
except RuntimeError as e:
    print(type(e).__name__)
try:
    (v * 2).backward()
except RuntimeError as e:
    print(type(e).__name__)
g1, g2 = torch.autograd.grad((v * 3).sum(), [v, inp], allow_unused=True)
print(g1, g2, torch.autograd.grad((v**3).sum(), v, is_grads_batched=False, materialize_grads=True))
