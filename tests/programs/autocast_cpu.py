"""Mixed precision on the host: which functions autocast computes in bfloat16, a training step, a Function of one's own, scaling."""

import torch
import torch.nn.functional as F
from torch import nn

a = torch.linspace(-1, 2, 9).reshape(3, 3)
b = torch.linspace(2, 0.5, 9).reshape(3, 3).cos()
CALLS = {
    "@": lambda: a @ b, "mm": lambda: torch.mm(a, b), "bmm": lambda: a[None].bmm(b[None]), "addmm": lambda: torch.addmm(a, a, b),
    "einsum": lambda: torch.einsum("ij,jk->ik", a, b), "linear": lambda: F.linear(a, b), "vector": lambda: a @ b[0],
    "mv": lambda: torch.mv(a, b[0]), "dot": lambda: torch.dot(a[0], b[0]), "outer": lambda: torch.outer(a[0], b[0]),
    "double": lambda: a.double() @ b.double(), "+": lambda: a + b, "mixed": lambda: (a @ b) + a, "exp": lambda: (a @ b).exp(),
    "softmax": lambda: (a @ b).softmax(-1), "log_softmax": lambda: F.log_softmax(a @ b, -1), "sum": lambda: (a @ b).sum(),
    "prod": lambda: (a @ b).prod(), "cat": lambda: torch.cat([a @ b, a]), "conv2d": lambda: F.conv2d(a[None, None], b[None, None]),
    "layer_norm": lambda: F.layer_norm(a @ b, (3,)), "mse_loss": lambda: F.mse_loss(a @ b, a),
    "cross_entropy": lambda: F.cross_entropy(a @ b, torch.tensor([0, 2, 1])), "inv": lambda: torch.linalg.inv(a @ b + 3 * torch.eye(3)),
    "cdist": lambda: torch.cdist(a, b), "gelu": lambda: F.gelu(a @ b), "multi_dot": lambda: torch.linalg.multi_dot([a, b, a]),
    "attention": lambda: F.scaled_dot_product_attention(a[None], b[None], a[None]), "norm": lambda: torch.linalg.norm(a @ b),
}  # fmt: skip
with torch.autocast("cpu", dtype=torch.bfloat16):
    for name, call in CALLS.items():
        print(name, call().dtype)
    for module in (nn.RNN(3, 2), nn.GRU(3, 2), nn.LSTM(3, 2)):
        print(type(module).__name__, module(a)[0].dtype)
    print("MultiheadAttention", nn.MultiheadAttention(3, 1)(a, a, a)[0].dtype)
    print("out=", torch.mm(a, b, out=torch.zeros(3, 3)).dtype)
    with torch.autocast("cpu", enabled=False):
        print("disabled", (a @ b).dtype, torch.is_autocast_enabled("cpu"))
    print(torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu"))
print((a @ b).dtype, torch.is_autocast_enabled("cpu"))

net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.LayerNorm(4), nn.Linear(4, 2))
with torch.no_grad():
    for p in net.parameters():
        p.copy_(torch.linspace(-0.5, 0.7, p.numel()).reshape(p.shape))
optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
for _ in range(3):
    optimizer.zero_grad()
    with torch.autocast(device_type="cpu"):
        output = net(a)
        loss = F.cross_entropy(output, torch.tensor([0, 1, 1]))
    loss.backward()
    optimizer.step()
    print(output.dtype, loss.dtype, f"{loss.item():.2f}", net[0].weight.grad.dtype)


class Product(torch.autograd.Function):
    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu")
    def forward(ctx, x, y):
        ctx.save_for_backward(x, y)
        return x.mm(y)

    @staticmethod
    @torch.amp.custom_bwd(device_type="cpu")
    def backward(ctx, g):
        x, y = ctx.saved_tensors
        print("backward in autocast", torch.is_autocast_enabled("cpu"))
        return g.mm(y.T), x.T.mm(g)


class Single(Product):
    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)
    def forward(ctx, x, y):
        ctx.save_for_backward(x, y)
        return x.mm(y)


@torch.autocast("cpu", dtype=torch.bfloat16)
def apply(function, x, y):
    return function.apply(x, y)


for function in (Product, Single):
    x = a.clone().requires_grad_()
    made = apply(function, x, b.bfloat16())
    made.float().sum().backward()
    print(function.__name__, made.dtype, x.grad.dtype)

scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2)
line = nn.Linear(3, 1)
nn.init.ones_(line.weight)
nn.init.zeros_(line.bias)
optimizer = torch.optim.SGD(line.parameters(), lr=0.1)
for step in range(5):
    optimizer.zero_grad()
    loss = line(a).mean() * (float("inf") if step == 3 else 1.0)
    scaler.scale(loss).backward()
    if step % 2:
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    print(step, scaler.get_scale(), round(line.weight.sum().item(), 4))
print(scaler.state_dict(), scaler.scale([torch.tensor(1.0)]))
