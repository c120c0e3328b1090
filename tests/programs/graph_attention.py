"""Graph attention layers with masks, leaky relu scores, ELU, dropout off, Adam with weight decay, early accuracy report."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import Adam


class GraphAttentionLayer(nn.Module):
    def __init__(
        self,
        in_features: int,
        out_features: int,
        n_heads: int,
        concat: bool = False,
        dropout: float = 0.0,
        leaky_relu_slope: float = 0.2,
    ):
        super().__init__()
        self.n_heads = n_heads
        self.concat = concat
        self.dropout = dropout
        if concat:
            self.out_features = out_features
            assert out_features % n_heads == 0
            self.n_hidden = out_features // n_heads
        else:
            self.n_hidden = out_features
        self.W = nn.Parameter(torch.empty(size=(in_features, self.n_hidden * n_heads)))
        self.a = nn.Parameter(torch.empty(size=(n_heads, 2 * self.n_hidden, 1)))
        self.leakyrelu = nn.LeakyReLU(leaky_relu_slope)
        self.softmax = nn.Softmax(dim=1)
        self.reset_parameters()

    def reset_parameters(self):
        nn.init.xavier_normal_(self.W)
        nn.init.xavier_normal_(self.a)

    def _get_attention_scores(self, h_transformed: torch.Tensor):
        source_scores = torch.matmul(h_transformed, self.a[:, : self.n_hidden, :])
        target_scores = torch.matmul(h_transformed, self.a[:, self.n_hidden :, :])
        e = source_scores + target_scores.mT
        return self.leakyrelu(e)

    def forward(self, h: torch.Tensor, adj_mat: torch.Tensor):
        n_nodes = h.shape[0]
        h_transformed = torch.mm(h, self.W)
        h_transformed = F.dropout(h_transformed, self.dropout, training=self.training)
        h_transformed = h_transformed.view(n_nodes, self.n_heads, self.n_hidden).permute(1, 0, 2)
        e = self._get_attention_scores(h_transformed)
        connectivity_mask = -9e16 * torch.ones_like(e)
        e = torch.where(adj_mat > 0, e, connectivity_mask)
        attention = F.softmax(e, dim=-1)
        attention = F.dropout(attention, self.dropout, training=self.training)
        h_prime = torch.matmul(attention, h_transformed)
        if self.concat:
            h_prime = h_prime.permute(1, 0, 2).contiguous().view(n_nodes, self.out_features)
        else:
            h_prime = h_prime.mean(dim=0)
        return h_prime


class GAT(nn.Module):
    def __init__(self, in_features, n_hidden, n_heads, num_classes):
        super().__init__()
        self.gat1 = GraphAttentionLayer(in_features, n_hidden, n_heads, concat=True)
        self.elu = nn.ELU()
        self.gat2 = GraphAttentionLayer(n_hidden, num_classes, 1, concat=False)

    def forward(self, input_tensor: torch.Tensor, adj_mat: torch.Tensor):
        x = self.gat1(input_tensor, adj_mat)
        x = self.elu(x)
        x = self.gat2(x, adj_mat)
        return F.log_softmax(x, dim=1)


def build(n):
    rng = np.random.RandomState(0)
    labels = torch.LongTensor(rng.randint(0, 3, n))
    edges = torch.tensor([(i, j) for i in range(n) for j in range(n) if labels[i] == labels[j] and rng.rand() < 0.2])
    adj = torch.eye(n)
    adj[edges[:, 0], edges[:, 1]] = 1
    adj = torch.maximum(adj, adj.t())
    feats = torch.FloatTensor(rng.rand(n, 10))
    feats = feats / feats.sum(dim=1, keepdim=True).clamp(min=1)
    return feats, adj, labels, torch.as_tensor(rng.permutation(n))


features, adj, labels, idx = build(30)
idx_train, idx_val = idx[:20], idx[20:]
net = GAT(10, 8, 2, 3)
for i, p in enumerate(net.parameters()):
    nn.init.constant_(p, 0.0)
    with torch.no_grad():
        p += torch.linspace(-1, 1, p.nelement()).reshape(p.shape).sin() * 0.7
optimizer = Adam(net.parameters(), lr=0.02, weight_decay=5e-4)
criterion = nn.NLLLoss()
for epoch in range(12):
    net.train()
    optimizer.zero_grad()
    output = net(features, adj)
    loss = criterion(output[idx_train], labels[idx_train])
    loss.backward()
    optimizer.step()
    if epoch % 3 == 0:
        net.eval()
        with torch.no_grad():
            out = net(features, adj)
            _, pred = out[idx_val].max(1)
            acc = (pred == labels[idx_val]).float().mean()
            print(
                f"Epoch {epoch + 1:04d} Loss: {loss.item():.4f} val {F.nll_loss(out[idx_val], labels[idx_val]):.4f} acc {acc:.2f}"
            )
print(net.gat1.leakyrelu, net.elu, net.gat1.softmax)
