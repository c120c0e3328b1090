"""Hooks of all modules, prefixes of state dicts, modules and functions of one name, old places of names."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.gradcheck import gradcheck, gradgradcheck
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
    register_module_full_backward_hook,
    register_module_full_backward_pre_hook,
)  # fmt: skip
from torch.nn.modules.utils import consume_prefix_in_state_dict_if_present

net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Sequential(nn.Linear(4, 2), nn.Identity()))
with torch.no_grad():
    for p in net.parameters():
        p.copy_(torch.linspace(-1, 1, p.numel()).reshape(p.shape))
x = torch.linspace(-1, 1, 6).reshape(2, 3).requires_grad_()
said = []
handles = [
    register_module_forward_pre_hook(lambda m, args: said.append(("before", type(m).__name__))),
    register_module_forward_hook(lambda m, args, out: said.append(("after", type(m).__name__, tuple(out.shape)))),
    register_module_forward_hook(lambda m, args, kw, out: said.append(sorted(kw)), with_kwargs=True, always_call=True),
    register_module_full_backward_pre_hook(lambda m, g: said.append(("g", type(m).__name__, round(g[0].sum().item(), 3)))),
    register_module_full_backward_hook(lambda m, gi, go: said.append(("b", type(m).__name__, tuple(gi[0].shape)))),
]
net[0].register_full_backward_hook(lambda m, gi, go: (gi[0] * 10,))
net(x).pow(2).sum().backward()
for handle in handles:
    handle.remove()
print(*said, sep="\n")
print(x.grad)
net(x).sum().backward()
print(len(said))

wrapped = nn.DataParallel(net)
state = wrapped.state_dict()
consume_prefix_in_state_dict_if_present(state, "module.")
print(list(state), net.load_state_dict(state))

a = torch.linspace(0.1, 1, 3, dtype=torch.float64).requires_grad_()
print(gradcheck(torch.exp, (a,)), gradgradcheck(torch.sin, (a,)), torch.autograd.gradcheck(torch.cos, (a,)))
print(torch.jit.wait(torch.jit.fork(torch.add, torch.ones(2), 1)))
print(torch.device("mps").type, torch.device("mps") == torch.device("cpu"), torch.cpu.is_available())
torch.__future__.set_swap_module_params_on_conversion(True)
before = id(net[0].weight)
net.double()
print(id(net[0].weight) == before, net[0].weight.dtype, torch.__future__.get_swap_module_params_on_conversion())
torch.__future__.set_swap_module_params_on_conversion(False)
try:
    torch.linalg.cholesky(-torch.eye(2))
except torch._C._LinAlgError as error:
    print(isinstance(error, RuntimeError))
print(F.softplus(net(x.double()).sum()))
