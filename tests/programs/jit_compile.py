"""torch.jit.script and trace, torch.compile of functions and modules, with and without graph breaks."""

import warnings

import torch
import torch.nn as nn

warnings.filterwarnings("ignore")


class MyDecisionGate(torch.nn.Module):
    def forward(self, x):
        if x.sum() > 0:
            return x
        else:
            return -x


class MyCell(torch.nn.Module):
    def __init__(self, dg):
        super(MyCell, self).__init__()
        self.dg = dg
        self.linear = torch.nn.Linear(4, 4)

    def forward(self, x, h: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        if h is None:
            h = torch.zeros_like(x)
        new_h = torch.tanh(self.dg(self.linear(x)) + h)
        return new_h, new_h


class LayerList(nn.Module):
    __constants__ = ["n"]

    def __init__(self):
        super().__init__()
        self.n: torch.jit.Final[int] = 2
        self.layers = nn.ModuleList([nn.Linear(4, 4) for _ in range(self.n)])

    @torch.jit.ignore
    def python_only(self, x):
        return x.numpy()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outs: list[torch.Tensor] = []
        for layer in self.layers:
            outs.append(layer(x))
        return torch.stack(outs).mean(0)


@torch.jit.script
def lerp(a: torch.Tensor, b: torch.Tensor, w: float) -> torch.Tensor:
    return a + w * (b - a)


def fill(m):
    for i, p in enumerate(m.parameters()):
        p.data.copy_(torch.sin(torch.arange(p.numel()) * (1.3 + i)).view_as(p) * 0.4)
    return m


gate = torch.jit.script(MyDecisionGate())
cell = torch.jit.script(fill(MyCell(gate)))
x = torch.linspace(-1, 1, 12).view(3, 4)
y, h = cell(x)
y, h = cell(x, h)
print([f"{v:.4f}" for v in y[0].tolist()], torch.jit.is_scripting())
traced = torch.jit.trace(fill(LayerList()), (x,))
print(tuple(traced(x[:2]).shape), f"{lerp(x, -x, 0.25).sum().item():.4f}")


@torch.compile
def foo(x, y):
    a = torch.sin(x)
    b = torch.cos(y)
    return a + b


@torch.compile(mode="reduce-overhead", fullgraph=False)
def broken(x):
    if x.sum() < 0:
        return x * -1
    return x + 1


print(f"{foo(x, x).sum().item():.4f}", f"{broken(x - 5).sum().item():.4f} {broken(x + 5).sum().item():.4f}")
print(f"{broken(x - 5).sum().item():.4f} {broken(x + 5).sum().item():.4f}")
model = fill(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.LayerNorm(8), nn.Linear(8, 1)))
compiled = torch.compile(model, backend="eager")
optimizer = torch.optim.AdamW(compiled.parameters(), lr=1e-2)
for step in range(5):
    optimizer.zero_grad()
    loss = ((compiled(x) - 1) ** 2).mean()
    loss.backward()
    optimizer.step()
    print(step, f"{loss.item():.5f}")
print([k.replace("_orig_mod.", "") for k in compiled.state_dict()][:2])
compiled.eval()
with torch.no_grad():
    print(f"{compiled(x).mean().item():.4f}", f"{model(x).mean().item():.4f}")
torch.compiler.reset()


@torch.compiler.disable
def slow(x):
    return x.numpy().sum()


print(round(float(slow(x)), 4), torch.compiler.is_compiling())
opt_step = torch.compile(lambda a: torch.nn.functional.gelu(a) * 2)
for n in (2, 3, 4):
    print(f"{opt_step(torch.ones(n)).sum().item():.4f}")
