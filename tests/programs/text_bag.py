"""Text classification with EmbeddingBag and offsets, a tokenizer, a vocabulary, StepLR, and a confusion matrix."""

import re
from collections import Counter

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.dataset import random_split

texts = [
    (1, "the market fell as banks sold shares"), (2, "the team won the final match"), (1, "shares of the bank rose"),
    (2, "a late goal won the match"), (1, "profits rose and the market gained"), (2, "the striker scored a goal in the final"),
    (1, "investors sold bank shares"), (2, "the team scored late"),
]
tokenizer = lambda s: re.findall(r"\w+", s.lower())
counter = Counter(t for _, s in texts for t in tokenizer(s))
vocab = {"<unk>": 0, **{w: i + 1 for i, (w, _) in enumerate(sorted(counter.items(), key=lambda kv: (-kv[1], kv[0])))}}
text_pipeline = lambda x: [vocab.get(t, 0) for t in tokenizer(x)]
label_pipeline = lambda x: int(x) - 1


class News(Dataset):
    def __len__(self):
        return len(texts)

    def __getitem__(self, i):
        return texts[i]


def collate_batch(batch):
    label_list, text_list, offsets = [], [], [0]
    for _label, _text in batch:
        label_list.append(label_pipeline(_label))
        processed_text = torch.tensor(text_pipeline(_text), dtype=torch.int64)
        text_list.append(processed_text)
        offsets.append(processed_text.size(0))
    label_list = torch.tensor(label_list, dtype=torch.int64)
    offsets = torch.tensor(offsets[:-1]).cumsum(dim=0)
    return label_list, torch.cat(text_list), offsets


class TextClassificationModel(nn.Module):
    def __init__(self, vocab_size, embed_dim, num_class):
        super(TextClassificationModel, self).__init__()
        self.embedding = nn.EmbeddingBag(vocab_size, embed_dim, sparse=False)
        self.fc = nn.Linear(embed_dim, num_class)
        self.init_weights()

    def init_weights(self):
        initrange = 0.5
        self.embedding.weight.data.uniform_(-initrange, initrange)
        self.embedding.weight.data.copy_(torch.sin(torch.arange(self.embedding.weight.numel()) * 1.7).view_as(self.embedding.weight) * initrange)
        self.fc.weight.data.copy_(torch.cos(torch.arange(self.fc.weight.numel())).view_as(self.fc.weight) * initrange)
        self.fc.bias.data.zero_()

    def forward(self, text, offsets):
        return self.fc(self.embedding(text, offsets))


model = TextClassificationModel(len(vocab), 8, 2)
criterion = torch.nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=2.0)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1.0, gamma=0.8)
dataloader = DataLoader(News(), batch_size=4, shuffle=False, collate_fn=collate_batch)
for epoch in range(1, 9):
    model.train()
    total_acc, total_count = 0, 0
    for idx, (label, text, offsets) in enumerate(dataloader):
        optimizer.zero_grad()
        predicted_label = model(text, offsets)
        loss = criterion(predicted_label, label)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()
        total_acc += (predicted_label.argmax(1) == label).sum().item()
        total_count += label.size(0)
    scheduler.step()
    print(f"| epoch {epoch:3d} | accuracy {total_acc / total_count:8.3f} | loss {loss.item():.4f} | lr {scheduler.get_last_lr()[0]:.3f}")
confusion = torch.zeros(2, 2, dtype=torch.int64)
model.eval()
with torch.no_grad():
    for label, text in texts:
        out = model(torch.tensor(text_pipeline(text)), torch.tensor([0]))
        confusion[label_pipeline(label), out.argmax(1).item()] += 1
print(confusion)
for mode in ("sum", "mean", "max"):
    bag = nn.EmbeddingBag.from_pretrained(torch.arange(10.0).view(5, 2), mode=mode)
    print(mode, bag(torch.tensor([[0, 1, 2], [4, 4, 3]])).tolist())
train, valid = random_split(News(), [6, 2], generator=torch.Generator().manual_seed(0))
print(len(train), len(valid), len(set(train.indices) | set(valid.indices)))
