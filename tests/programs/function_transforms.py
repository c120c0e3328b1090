"""torch.func: transforms of transforms, arguments by name, ensembles, least squares by Gauss and Newton."""

import torch
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, linearize, stack_module_state, vjp, vmap


def f(x, y):
    return (x * y).sin().sum()


x, y = torch.arange(3.0), torch.ones(3)
print(grad(f)(x, y), grad(f, argnums=1)(x, y), jacrev(lambda x: x**2)(x), jacfwd(lambda x: x.cumsum(0))(x))
print(hessian(lambda x: (x**3).sum())(x), vmap(grad(f), in_dims=(0, None))(torch.eye(3), y))
print(vjp(f, x, y)[1](torch.tensor(2.0)), jvp(f, (x, y), (y, x)), linearize(lambda x: x.sin(), x)[1](y))


def scaled(v, scale=None):
    return v.sum() * scale


print(vmap(scaled)(torch.ones(2, 3), scale=torch.tensor([1.0, 2.0, 3.0])), vmap(scaled)(torch.ones(2, 3), scale=2.0))
models = [torch.nn.Linear(2, 1) for _ in range(3)]
for i, m in enumerate(models):
    torch.nn.init.constant_(m.weight, i)
    torch.nn.init.constant_(m.bias, 0.5)
parameters, buffers = stack_module_state(models)
base = models[0].to("meta")
print(vmap(lambda p, b: functional_call(base, (p, b), (torch.ones(4, 2),)))(parameters, buffers).squeeze())


def model(p, x):
    return p[0] * torch.exp(-p[1] * x)


x = torch.linspace(0, 2, 10)
target = 2.5 * torch.exp(-1.3 * x) + 0.1 * torch.sin(9 * x)
p, damping = torch.tensor([1.0, 1.0]), 1e-2
for i in range(6):
    r = model(p, x) - target
    J = vmap(jacrev(model), in_dims=(None, 0))(p, x)
    A = J.T @ J
    new = p + torch.linalg.solve(A + damping * torch.diag(A.diag()), -(J.T @ r))
    if (model(new, x) - target).square().sum() < r.square().sum():
        p, damping = new, damping / 3
    else:
        damping *= 2
    print(i, r.norm(), p)


class Round(torch.autograd.Function):
    @staticmethod
    def forward(x):
        return x.round()

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, g):
        return g

    @staticmethod
    def vmap(info, in_dims, x):
        return Round.apply(x), in_dims[0]


print(grad(lambda x: (Round.apply(x) ** 2).sum())(torch.tensor([1.4, 2.6])), vmap(Round.apply)(torch.ones(2, 2) * 1.6))
for wrong in (
    lambda: vmap(lambda x: x.item())(x), lambda: vmap(torch.dot)(torch.ones(2, 3), torch.ones(3, 3)), lambda: grad(lambda x: x)(x),
    lambda: vmap(lambda: 1)(), lambda: vmap(lambda x: x if x > 0 else -x)(x), lambda: grad(f, argnums=2)(x, x),
):  # fmt: skip
    try:
        wrong()
    except (RuntimeError, ValueError) as error:
        print(type(error).__name__)
