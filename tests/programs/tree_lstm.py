"""Child-sum Tree-LSTM over Python trees, sequence cells with gates chunked, KL-divergence on sparse targets, Adagrad."""

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim


class Tree:
    def __init__(self, idx, children=()):
        self.idx = idx
        self.children = list(children)
        self.num_children = len(self.children)
        self.state = None

    def size(self):
        if getattr(self, "_size", None) is not None:
            return self._size
        self._size = 1 + sum(c.size() for c in self.children)
        return self._size


class ChildSumTreeLSTM(nn.Module):
    def __init__(self, in_dim, mem_dim):
        super(ChildSumTreeLSTM, self).__init__()
        self.in_dim = in_dim
        self.mem_dim = mem_dim
        self.ioux = nn.Linear(self.in_dim, 3 * self.mem_dim)
        self.iouh = nn.Linear(self.mem_dim, 3 * self.mem_dim)
        self.fx = nn.Linear(self.in_dim, self.mem_dim)
        self.fh = nn.Linear(self.mem_dim, self.mem_dim)

    def node_forward(self, inputs, child_c, child_h):
        child_h_sum = torch.sum(child_h, dim=0, keepdim=True)
        iou = self.ioux(inputs) + self.iouh(child_h_sum)
        i, o, u = torch.split(iou, iou.size(1) // 3, dim=1)
        i, o, u = F.sigmoid(i), F.sigmoid(o), F.tanh(u)
        f = F.sigmoid(self.fh(child_h) + self.fx(inputs).repeat(len(child_h), 1))
        fc = torch.mul(f, child_c)
        c = torch.mul(i, u) + torch.sum(fc, dim=0, keepdim=True)
        h = torch.mul(o, F.tanh(c))
        return c, h

    def forward(self, tree, inputs):
        for idx in range(tree.num_children):
            self.forward(tree.children[idx], inputs)
        if tree.num_children == 0:
            child_c = inputs[0].detach().new(1, self.mem_dim).fill_(0.0).requires_grad_()
            child_h = inputs[0].detach().new(1, self.mem_dim).fill_(0.0).requires_grad_()
        else:
            child_c, child_h = zip(*map(lambda x: x.state, tree.children))
            child_c, child_h = torch.cat(child_c, dim=0), torch.cat(child_h, dim=0)
        tree.state = self.node_forward(inputs[tree.idx].unsqueeze(0), child_c, child_h)
        return tree.state


class Similarity(nn.Module):
    def __init__(self, mem_dim, hidden_dim, num_classes):
        super(Similarity, self).__init__()
        self.wh = nn.Linear(2 * mem_dim, hidden_dim)
        self.wp = nn.Linear(hidden_dim, num_classes)

    def forward(self, lvec, rvec):
        mult_dist = torch.mul(lvec, rvec)
        abs_dist = torch.abs(torch.add(lvec, -rvec))
        vec_dist = torch.cat((mult_dist, abs_dist), 1)
        out = F.sigmoid(self.wh(vec_dist))
        return F.log_softmax(self.wp(out), dim=1)


class SimilarityTreeLSTM(nn.Module):
    def __init__(self, vocab_size, in_dim, mem_dim, hidden_dim, num_classes):
        super(SimilarityTreeLSTM, self).__init__()
        self.emb = nn.Embedding(vocab_size, in_dim, padding_idx=0, sparse=False)
        self.emb.weight.requires_grad = False
        self.childsumtreelstm = ChildSumTreeLSTM(in_dim, mem_dim)
        self.similarity = Similarity(mem_dim, hidden_dim, num_classes)

    def forward(self, ltree, linputs, rtree, rinputs):
        linputs, rinputs = self.emb(linputs), self.emb(rinputs)
        lstate, lhidden = self.childsumtreelstm(ltree, linputs)
        rstate, rhidden = self.childsumtreelstm(rtree, rinputs)
        return self.similarity(lstate, rstate)


def map_label_to_target(label, num_classes):
    target = torch.zeros(1, num_classes, dtype=torch.float, device="cpu")
    ceil, floor = int(-(-label // 1)), int(label // 1)
    if ceil == floor:
        target[0, floor - 1] = 1
    else:
        target[0, floor - 1] = ceil - label
        target[0, ceil - 1] = label - floor
    return target


model = SimilarityTreeLSTM(10, 5, 6, 4, 5)
for i, p in enumerate(model.parameters()):
    p.data = torch.cos(torch.arange(p.numel()) * (1.1 + i)).view_as(p) * 0.4
criterion = nn.KLDivLoss(reduction="batchmean")
optimizer = optim.Adagrad(filter(lambda p: p.requires_grad, model.parameters()), lr=0.05, weight_decay=1e-4)
data = [
    (Tree(1, [Tree(0), Tree(2, [Tree(3)])]), torch.tensor([1, 2, 3, 4]), Tree(0, [Tree(1)]), torch.tensor([5, 6]), 3.6),
    (Tree(0), torch.tensor([7]), Tree(1, [Tree(0), Tree(2)]), torch.tensor([8, 9, 1]), 1.0),
]
for epoch in range(4):
    model.train()
    total_loss = 0.0
    for ltree, linput, rtree, rinput, label in data:
        target = map_label_to_target(label, 5)
        output = model(ltree, linput, rtree, rinput)
        loss = criterion(output, target)
        total_loss += loss.item()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    indices = torch.arange(1, 6, dtype=torch.float, device="cpu")
    print("%.5f" % (total_loss / 2), torch.dot(indices, torch.exp(output.squeeze().detach())).item())
print(data[0][0].size())
