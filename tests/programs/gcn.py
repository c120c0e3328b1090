"""Graph convolution by index_add and scatter, graph attention with softmax over neighbours, and a dense adjacency."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.modules.module import Module
from torch.nn.parameter import Parameter

edges = torch.tensor([[0, 1], [1, 2], [2, 3], [3, 0], [4, 5], [5, 6], [6, 7], [7, 4], [3, 4]]).t()
edge_index = torch.cat([edges, edges.flip(0), torch.arange(8).repeat(2, 1)], 1)
n = 8


class GraphConvolution(Module):
    def __init__(self, in_features, out_features, bias=True):
        super(GraphConvolution, self).__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.weight = Parameter(torch.FloatTensor(in_features, out_features))
        if bias:
            self.bias = Parameter(torch.FloatTensor(out_features))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self):
        stdv = 1.0 / math.sqrt(self.weight.size(1))
        self.weight.data.uniform_(-stdv, stdv)
        self.weight.data.copy_(torch.sin(torch.arange(self.weight.numel())).view_as(self.weight) * stdv)
        if self.bias is not None:
            self.bias.data.uniform_(-stdv, stdv)
            self.bias.data.zero_()

    def forward(self, input, edge_index):
        support = torch.mm(input, self.weight)
        row, col = edge_index
        deg = torch.zeros(n).scatter_add_(0, row, torch.ones(row.size(0)))
        norm = deg.pow(-0.5)[row] * deg.pow(-0.5)[col]
        out = torch.zeros_like(support).index_add_(0, row, support[col] * norm.unsqueeze(-1))
        return out + self.bias if self.bias is not None else out

    def __repr__(self):
        return self.__class__.__name__ + " (" + str(self.in_features) + " -> " + str(self.out_features) + ")"


class GAT(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.W = nn.Parameter(torch.empty(size=(i, o)))
        nn.init.xavier_uniform_(self.W.data, gain=1.414)
        self.W.data = torch.cos(torch.arange(i * o).float()).view(i, o)
        self.a = nn.Parameter(torch.linspace(-0.5, 0.5, 2 * o))

    def forward(self, h, edge_index):
        Wh = h @ self.W
        row, col = edge_index
        e = F.leaky_relu(torch.cat([Wh[row], Wh[col]], 1) @ self.a, 0.2)
        top = torch.full((n,), -math.inf).scatter_reduce(0, row, e, reduce="amax", include_self=False)
        w = (e - top[row]).exp()
        total = torch.zeros(n).index_add(0, row, w)
        alpha = w / total.index_select(0, row)
        return F.elu(torch.zeros(n, Wh.size(1)).scatter_add(0, row[:, None].expand(-1, Wh.size(1)), alpha[:, None] * Wh[col])), alpha


class GCN(nn.Module):
    def __init__(self):
        super().__init__()
        self.gc1, self.gat, self.gc2 = GraphConvolution(8, 6), GAT(6, 6), GraphConvolution(6, 2, bias=False)

    def forward(self, x, edge_index):
        x = F.relu(self.gc1(x, edge_index))
        x, self.alpha = self.gat(x, edge_index)
        return F.log_softmax(self.gc2(x, edge_index), dim=1)


model = GCN()
print(model)
features, labels = torch.eye(n), torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
idx_train = torch.LongTensor([0, 6])
optimizer = torch.optim.Adam(model.parameters(), lr=0.05, weight_decay=5e-4)
for epoch in range(20):
    model.train()
    optimizer.zero_grad()
    output = model(features, edge_index)
    loss_train = F.nll_loss(output[idx_train], labels[idx_train])
    loss_train.backward()
    optimizer.step()
    if epoch % 5 == 4:
        preds = output.max(1)[1].type_as(labels)
        print(epoch, f"{loss_train.item():.4f}", preds.eq(labels).double().sum().item() / len(labels))
adj = torch.zeros(n, n)
adj[edge_index[0], edge_index[1]] = 1.0
d = adj.sum(1).pow(-0.5).diag()
dense = d @ adj @ d @ (features @ model.gc1.weight) + model.gc1.bias
print(torch.allclose(dense, model.gc1(features, edge_index), atol=1e-6), model.alpha[:3].tolist())
print(torch.linalg.matrix_rank(adj).item(), torch.bincount(edge_index[0]).tolist())
