"""Whole models saved and loaded: torch.save(model), weights_only=False, nested layers, functions as attributes, tied weights, map_location."""

import io
import os
import pickle
import tempfile

import torch
import torch.nn as nn
import torch.nn.functional as F


class Classifier(nn.Module):
    def __init__(self, ntoken=12, d=8):
        super().__init__()
        self.emb = nn.Embedding(ntoken, d)
        layer = nn.TransformerEncoderLayer(d, 2, 16, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.norm = nn.ModuleDict({"a": nn.LayerNorm(d), "b": nn.Identity()})
        self.rnn = nn.LSTM(d, d, batch_first=True)
        self.decoder = nn.Linear(d, ntoken)
        self.decoder.weight = self.emb.weight
        self.act, self.kind, self.sizes = F.gelu, nn.LayerNorm, [1, (2, "x")]
        self.register_buffer("mask", torch.ones(3, 3).tril())
        self.extra = None

    def forward(self, x):
        y = self.norm["a"](self.encoder(self.emb(x)))
        y, _ = self.rnn(self.act(y))
        return self.decoder(y)


model = Classifier()
for i, p in enumerate(model.parameters()):
    p.data = torch.cos(torch.arange(p.numel()) * (1.1 + i)).view_as(p) * 0.3
x = torch.arange(10).view(2, 5) % 12
path = os.path.join(tempfile.mkdtemp(), "model.pt")
torch.save(model, path)
again = torch.load(path, weights_only=False)
again.eval()
model.eval()
print(
    torch.allclose(model(x), again(x), atol=1e-6),
    type(again).__name__,
    again.decoder.weight is again.emb.weight,
    again.act is F.gelu,
)
print(
    list(again.state_dict()) == list(model.state_dict()),
    again.kind is nn.LayerNorm,
    again.sizes,
    again.mask.sum(),
    again.training,
)
try:
    torch.load(path, weights_only=True)
except pickle.UnpicklingError as e:
    print("UnpicklingError", "weights_only" in str(e))
buffer = io.BytesIO()
torch.save({"model": model, "epoch": 3, "list": nn.Sequential(nn.Linear(2, 2), nn.ReLU())}, buffer)
buffer.seek(0)
found = torch.load(buffer, map_location="cpu", weights_only=False)
print(found["epoch"], found["list"], sum(p.numel() for p in found["model"].parameters()))
opt = torch.optim.SGD(found["model"].parameters(), lr=0.1)
loss = F.cross_entropy(found["model"](x).flatten(0, 1), x.flatten())
loss.backward()
opt.step()
print(loss.item(), F.cross_entropy(found["model"](x).flatten(0, 1), x.flatten()).item())
clone = pickle.loads(pickle.dumps(model.rnn))
print(torch.equal(clone.weight_ih_l0, model.rnn.weight_ih_l0), clone, isinstance(again, Classifier))
