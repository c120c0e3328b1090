"""Names to languages by a hand-made RNN (NLP from scratch): unicodedata, one-hot lines, topk, confusion matrix, manual SGD."""

import string
import unicodedata

import torch
import torch.nn as nn
import torch.nn.functional as F

all_letters = string.ascii_letters + " .,;'_"
n_letters = len(all_letters)
category_lines = {
    "Italian": ["Rossi", "Bianchi", "Ferrari", "Russo", "Esposito"],
    "Polish": ["Nowak", "Kowalski", "Wójcik", "Kamiński"],
    "Irish": ["O'Néàl", "Murphy", "O'Brien", "Byrne"],
}
all_categories = list(category_lines)
n_categories = len(all_categories)


def unicodeToAscii(s):
    return "".join(c for c in unicodedata.normalize("NFD", s) if unicodedata.category(c) != "Mn" and c in all_letters)


print(unicodeToAscii("O'Néàl"))


def letterToIndex(letter):
    return all_letters.find(letter)


def letterToTensor(letter):
    tensor = torch.zeros(1, n_letters)
    tensor[0][letterToIndex(letter)] = 1
    return tensor


def lineToTensor(line):
    tensor = torch.zeros(len(line), 1, n_letters)
    for li, letter in enumerate(line):
        tensor[li][0][letterToIndex(letter)] = 1
    return tensor


print(letterToTensor("J").nonzero())
print(lineToTensor("Jones").size())


class RNN(nn.Module):
    def __init__(self, input_size, hidden_size, output_size):
        super(RNN, self).__init__()
        self.hidden_size = hidden_size
        self.i2h = nn.Linear(input_size, hidden_size)
        self.h2h = nn.Linear(hidden_size, hidden_size)
        self.h2o = nn.Linear(hidden_size, output_size)
        self.softmax = nn.LogSoftmax(dim=1)

    def forward(self, input, hidden):
        hidden = F.tanh(self.i2h(input) + self.h2h(hidden))
        output = self.softmax(self.h2o(hidden))
        return output, hidden

    def initHidden(self):
        return torch.zeros(1, self.hidden_size)


rnn = RNN(n_letters, 16, n_categories)
for i, p in enumerate(rnn.parameters()):
    p.data = torch.sin(torch.arange(p.numel(), dtype=torch.float32) * (1.7 + i)).view_as(p) * 0.3


def categoryFromOutput(output):
    top_n, top_i = output.topk(1)
    category_i = top_i[0].item()
    return all_categories[category_i], category_i


criterion = nn.NLLLoss()
learning_rate = 0.05


def train(category_tensor, line_tensor):
    hidden = rnn.initHidden()
    rnn.zero_grad()
    for i in range(line_tensor.size()[0]):
        output, hidden = rnn(line_tensor[i], hidden)
    loss = criterion(output, category_tensor)
    loss.backward()
    for p in rnn.parameters():
        p.data.add_(p.grad.data, alpha=-learning_rate)
    return output, loss.item()


pairs = [(c, l) for k in range(5) for c in all_categories for l in [category_lines[c][k % len(category_lines[c])]]]
current_loss, all_losses = 0, []
for iter, (category, line) in enumerate(pairs * 4, 1):
    category_tensor = torch.tensor([all_categories.index(category)], dtype=torch.long)
    output, loss = train(category_tensor, lineToTensor(unicodeToAscii(line)))
    current_loss += loss
    if iter % 15 == 0:
        guess, guess_i = categoryFromOutput(output)
        correct = "✓" if guess == category else "✗ (%s)" % category
        print("%d %d%% %.4f %s / %s %s" % (iter, iter / 60 * 100, loss, line, guess, correct))
        all_losses.append(current_loss / 15)
        current_loss = 0
confusion = torch.zeros(n_categories, n_categories)
with torch.no_grad():
    for category, line in pairs:
        hidden = rnn.initHidden()
        line_tensor = lineToTensor(unicodeToAscii(line))
        for i in range(line_tensor.size()[0]):
            output, hidden = rnn(line_tensor[i], hidden)
        confusion[all_categories.index(category)][categoryFromOutput(output)[1]] += 1
for i in range(n_categories):
    denom = confusion[i].sum()
    if denom > 0:
        confusion[i] = confusion[i] / denom
print(confusion)
print(["%.4f" % l for l in all_losses])
topv, topi = output.topk(3, 1, True)
for i in range(3):
    value = topv[0][i].item()
    category_index = topi[0][i].item()
    print("(%.2f) %s" % (value, all_categories[category_index]))
