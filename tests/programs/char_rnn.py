"""A character model with nn.RNN: one-hot inputs, hidden state carried on, text generated greedily."""

import torch
import torch.nn as nn
import torch.nn.functional as F

text = "hello wonderful world, hello wonderful words. "
chars = sorted(set(text))
stoi = {c: i for i, c in enumerate(chars)}
data = torch.tensor([stoi[c] for c in text], dtype=torch.long)
V, H = len(chars), 24


class CharRNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(V, H, batch_first=True)
        self.out = nn.Linear(H, V)

    def forward(self, x, h=None):
        y, h = self.rnn(F.one_hot(x, V).float(), h)
        return self.out(y), h


model = CharRNN()
for i, p in enumerate(model.parameters()):
    nn.init.zeros_(p)
    p.data += torch.sin(torch.arange(p.numel()).float() * (1.3 + 0.2 * i)).reshape(p.shape) * 0.2
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
x, y = data[:-1].unsqueeze(0), data[1:].unsqueeze(0)
for step in range(40):
    logits, _ = model(x)
    loss = F.cross_entropy(logits.view(-1, V), y.view(-1))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    if step % 10 == 9:
        print(step, f"{loss.item():.4f}")
model.eval()
h, c, made = None, torch.tensor([[stoi["h"]]]), ["h"]
with torch.inference_mode():
    for _ in range(10):
        logits, h = model(c, h)
        c = logits[:, -1].argmax(-1, keepdim=True)
        made.append(chars[c.item()])
print(repr("".join(made)))
