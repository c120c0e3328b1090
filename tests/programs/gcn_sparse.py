"""Kipf's graph convolutional network: a sparse adjacency from SciPy, `torch.spmm`, dropout off, Adam with weight decay."""

import math

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.nn.modules.module import Module
from torch.nn.parameter import Parameter


def normalize(mx):
    rowsum = np.array(mx.sum(1))
    with np.errstate(divide="ignore"):
        r_inv = np.power(rowsum, -1.0).flatten()
    r_inv[np.isinf(r_inv)] = 0.0
    return sp.diags(r_inv).dot(mx)


def sparse_mx_to_torch_sparse_tensor(sparse_mx):
    sparse_mx = sparse_mx.tocoo().astype(np.float32)
    indices = torch.from_numpy(np.vstack((sparse_mx.row, sparse_mx.col)).astype(np.int64))
    values = torch.from_numpy(sparse_mx.data)
    shape = torch.Size(sparse_mx.shape)
    return torch.sparse.FloatTensor(indices, values, shape)


def load_data(nodes=60, classes=3, features=12):
    rng = np.random.default_rng(5)
    labels = rng.integers(0, classes, nodes)
    same = labels[:, None] == labels[None]
    links = np.triu(rng.random((nodes, nodes)) < np.where(same, 0.2, 0.02), 1)
    adj = sp.coo_matrix(links.astype(np.float32))
    adj = adj + adj.T.multiply(adj.T > adj) - adj.multiply(adj.T > adj)
    x = sp.csr_matrix((rng.random((nodes, features)) < 0.2 + 0.3 * (np.arange(features) % classes == labels[:, None])).astype(np.float32))
    x = normalize(x)
    adj = normalize(adj + sp.eye(adj.shape[0]))
    x = torch.FloatTensor(np.array(x.todense()))
    labels = torch.LongTensor(labels)
    return sparse_mx_to_torch_sparse_tensor(adj), x, labels, torch.arange(20), torch.arange(30, 60)


def spread(shape, bound):  # in the place of random numbers
    return torch.sin(torch.arange(float(torch.Size(shape).numel())) * 1.7 + 0.3).view(shape) * bound


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
        self.weight.data.copy_(spread(self.weight.shape, stdv))
        if self.bias is not None:
            self.bias.data.copy_(spread(self.bias.shape, stdv))

    def forward(self, input, adj):
        support = torch.mm(input, self.weight)
        output = torch.spmm(adj, support)
        return output + self.bias if self.bias is not None else output

    def __repr__(self):
        return self.__class__.__name__ + " (" + str(self.in_features) + " -> " + str(self.out_features) + ")"


class GCN(nn.Module):
    def __init__(self, nfeat, nhid, nclass, dropout):
        super(GCN, self).__init__()
        self.gc1 = GraphConvolution(nfeat, nhid)
        self.gc2 = GraphConvolution(nhid, nclass)
        self.dropout = dropout

    def forward(self, x, adj):
        x = F.relu(self.gc1(x, adj))
        x = F.dropout(x, self.dropout, training=self.training)
        x = self.gc2(x, adj)
        return F.log_softmax(x, dim=1)


def accuracy(output, labels):
    preds = output.max(1)[1].type_as(labels)
    return preds.eq(labels).double().sum() / len(labels)


torch.manual_seed(42)
adj, features, labels, idx_train, idx_test = load_data()
print(adj.is_sparse, adj.layout, adj._nnz(), tuple(adj.shape), adj.type())
model = GCN(nfeat=features.shape[1], nhid=8, nclass=labels.max().item() + 1, dropout=0.0)
print(model)
optimizer = optim.Adam(model.parameters(), lr=0.05, weight_decay=5e-4)
for epoch in range(30):
    model.train()
    optimizer.zero_grad()
    output = model(features, adj)
    loss_train = F.nll_loss(output[idx_train], labels[idx_train])
    loss_train.backward()
    optimizer.step()
    if epoch % 10 == 9:
        print(f"Epoch: {epoch + 1:04d}", f"loss_train: {loss_train.item():.4f}")
model.eval()
output = model(features, adj)
print("Test set results:", f"loss= {F.nll_loss(output[idx_test], labels[idx_test]).item():.4f}", f"accuracy= {accuracy(output[idx_test], labels[idx_test]).item():.4f}")

# attention over the edges, as in GAT: the values of a sparse matrix are learned, its rows normalised
edges = adj.coalesce().indices()
source, target = nn.Linear(8, 1, bias=False), nn.Linear(8, 1, bias=False)
for layer in (source, target):
    layer.weight.data.copy_(spread(layer.weight.shape, 0.5))
hidden = model.gc1(features, adj).detach()
scores = F.leaky_relu(source(hidden)[edges[0]] + target(hidden)[edges[1]], 0.2).squeeze(-1)
attention = torch.sparse.softmax(torch.sparse_coo_tensor(edges, scores, adj.shape), dim=1)
mixed = torch.sparse.mm(attention, hidden)
mixed.pow(2).sum().backward()
print("rows sum to one:", bool((torch.sparse.sum(attention, dim=1).to_dense() - 1).abs().max() < 1e-5))
print(f"attention {mixed.norm().item():.4f} {source.weight.grad.norm().item():.4f}")
csr = adj.to_sparse_csr()
print("csr agrees:", torch.allclose(csr @ hidden, adj @ hidden, atol=1e-6), csr.crow_indices()[:3].tolist(), csr.layout)
print(torch.sparse.addmm(torch.ones(60, 8), adj, hidden, beta=0.5).sum(0)[:3])
