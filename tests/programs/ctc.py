"""CTC: a recurrent recogniser of padded sequences, and greedy decoding."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class CRNN(nn.Module):
    def __init__(self, n_in, n_hidden, n_class):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv1d(n_in, n_hidden, 3, padding=1), nn.ReLU())
        self.rnn = nn.LSTM(n_hidden, n_hidden, num_layers=2, bidirectional=True, batch_first=True)
        self.fc = nn.Linear(2 * n_hidden, n_class)

    def forward(self, x, lengths):
        x = self.conv(x.transpose(1, 2)).transpose(1, 2)
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        out, (h, c) = self.rnn(packed)
        out, out_lengths = pad_packed_sequence(out, batch_first=True)
        return self.fc(out).log_softmax(2).permute(1, 0, 2), out_lengths, h


words = [[1, 2, 2, 3], [3, 1], [2, 3, 1]]
lengths = torch.tensor([10, 6, 8])
x = torch.zeros(3, 10, 4)
for i, word in enumerate(words):
    for t in range(int(lengths[i])):
        x[i, t, word[t * len(word) // int(lengths[i])]] = 1.0
targets = torch.tensor([c for w in words for c in w])
target_lengths = torch.tensor([len(w) for w in words])
model = CRNN(4, 8, 4)
for i, p in enumerate(model.parameters()):
    p.data.copy_(torch.sin(torch.arange(p.numel()) * (1.0 + 0.21 * i)).view_as(p) * 0.3)
criterion = nn.CTCLoss(blank=0, zero_infinity=True)
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
for epoch in range(40):
    log_probs, out_lengths, h = model(x, lengths)
    loss = criterion(log_probs, targets, out_lengths, target_lengths)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 5)
    optimizer.step()
    if epoch % 10 == 9:
        print(epoch, f"{loss.item():.3f}", tuple(log_probs.shape), tuple(h.shape))
best = log_probs.argmax(2).t()
for i in range(3):
    path = torch.unique_consecutive(best[i, : lengths[i]])
    print(words[i], [c for c in path.tolist() if c != 0])
print(F.ctc_loss(log_probs.detach()[:, :1], torch.tensor([[1, 2]]), (10,), (2,), reduction="sum").item() > 0)
