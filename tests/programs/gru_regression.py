"""A two-layer GRU that predicts the next value of a sine wave, with packed sequences of different lengths."""

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(1, 10, num_layers=2, batch_first=True)
        self.head = nn.Linear(10, 1)

    def forward(self, x, lengths):
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        out, hidden = self.gru(packed)
        out, _ = pad_packed_sequence(out, batch_first=True)
        return self.head(out).squeeze(-1), hidden


lengths = torch.tensor([12, 20, 16])
waves = [torch.sin(0.4 * torch.arange(n + 1) + 0.3 * k) for k, n in enumerate(lengths.tolist())]
x = pad_sequence([w[:-1] for w in waves], batch_first=True).unsqueeze(-1)
y = pad_sequence([w[1:] for w in waves], batch_first=True)
mask = torch.arange(20)[None, :] < lengths[:, None]
model = Model()
with torch.no_grad():
    for i, p in enumerate(model.parameters()):
        p.copy_(torch.cos(torch.arange(p.numel()) * 1.7 + i).reshape(p.shape) * 0.3)
optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.01)
for step in range(30):
    prediction, hidden = model(x, lengths)
    loss = ((prediction - y) ** 2)[mask].mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 10 == 9:
        print(step, f"{loss.item():.5f}", tuple(hidden.shape))
