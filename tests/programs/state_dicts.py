"""State dict recipes: saving several models, warm start with strict=False, hooks, prefix, non-persistent buffers, extra state."""

import os
import tempfile
from collections import OrderedDict

import torch
import torch.nn as nn
import torch.optim as optim


class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.fc1 = nn.Linear(16, 12)
        self.bn = nn.BatchNorm1d(12)
        self.fc3 = nn.Linear(12, 10)
        self.register_buffer("steps", torch.tensor(0), persistent=False)
        self.register_buffer("mask", None)

    def get_extra_state(self):
        return {"version": 3}

    def set_extra_state(self, state):
        print("extra", state)


netA, netB = Net(), Net()
optimizerA = optim.SGD(netA.parameters(), lr=0.001, momentum=0.9)
print("Model's state_dict:")
for param_tensor in netA.state_dict():
    v = netA.state_dict()[param_tensor]
    print(param_tensor, "\t", v.size() if hasattr(v, "size") else v)
print("Optimizer's state_dict:")
for var_name in optimizerA.state_dict():
    print(var_name, "\t", optimizerA.state_dict()[var_name])
PATH = os.path.join(tempfile.mkdtemp(), "model.pt")
torch.save(
    {
        "epoch": 5,
        "modelA_state_dict": netA.state_dict(),
        "optimizer": optimizerA.state_dict(),
        "loss": 0.4,
        "args": (1, "a", None),
    },
    PATH,
)
checkpoint = torch.load(PATH, map_location=torch.device("cpu"), weights_only=True)
print(netB.load_state_dict(checkpoint["modelA_state_dict"]))
print(checkpoint["epoch"], checkpoint["args"], torch.equal(netA.fc1.weight, netB.fc1.weight))


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(16, 12)
        self.head = nn.Linear(12, 2)


small = Small()
res = small.load_state_dict(netA.state_dict(), strict=False)
print(res.missing_keys, res.unexpected_keys)
try:
    small.load_state_dict(netA.state_dict())
except RuntimeError as e:
    print(str(e))
try:
    small.load_state_dict(
        {
            "fc1.weight": torch.zeros(2, 2),
            "fc1.bias": torch.zeros(12),
            "head.weight": torch.zeros(2, 12),
            "head.bias": torch.zeros(2),
        }
    )
except RuntimeError as e:
    print(str(e))
new = OrderedDict((k.replace("module.", ""), v) for k, v in nn.ModuleDict({"module": small}).state_dict().items())
print(list(new), small.load_state_dict(new))


def drop(m, sd, prefix, meta):
    sd.pop(prefix + "fc1.bias")


small._register_state_dict_hook(drop)
print(list(small.state_dict(prefix="x.")))
h = small.register_load_state_dict_post_hook(lambda module, incompat: print("missing", incompat.missing_keys))
small.load_state_dict(small.state_dict(), strict=False)
h.remove()


def pre(module, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs):
    state_dict[prefix + "fc1.bias"] = torch.zeros(12)


small.register_load_state_dict_pre_hook(pre)
print(small.load_state_dict(small.state_dict()), small.fc1.bias.abs().sum().item())
model_scripted = netA.state_dict()._metadata
print(model_scripted["bn"], list(model_scripted)[:2])
whole = os.path.join(os.path.dirname(PATH), "whole.pt")
torch.save(Small(), whole)  # the whole module
try:
    torch.load(whole)
except Exception as e:
    print(type(e).__name__)
print(os.path.exists(whole), [k for k, _ in netA.named_buffers()], dict(netA.named_children()).keys())
optimB = optim.SGD(netB.parameters(), lr=0.1)
optimB.load_state_dict(checkpoint["optimizer"])
print(optimB.param_groups[0]["lr"], optimB.param_groups[0]["momentum"])
