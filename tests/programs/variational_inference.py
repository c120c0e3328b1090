"""A normal posterior by gradient steps, and what its distributions print."""

import torch
from torch import distributions as dist

data = torch.tensor([1.2, 0.7, 3.1, 2.2])
loc = torch.zeros(1, requires_grad=True)
log_scale = torch.zeros(1, requires_grad=True)
optimizer = torch.optim.SGD([loc, log_scale], lr=0.01, momentum=0.9)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 5, gamma=0.5)
nodes = torch.linspace(-1.5, 1.5, 7)
for i in range(12):
    q = dist.Normal(loc, log_scale.exp())
    z = q.loc + q.scale * nodes
    elbo = dist.Normal(z[:, None], 1.0).log_prob(data).sum(-1) + dist.Normal(0.0, 10.0).log_prob(z) - q.log_prob(z)
    optimizer.zero_grad()
    (-elbo.mean()).backward()
    optimizer.step()
    scheduler.step()
    if i % 4 == 0:
        print(elbo.mean(), loc, log_scale, scheduler.get_last_lr())
print(dist.kl_divergence(q, dist.Normal(0.0, 1.0)), q)
print(q.cdf(torch.tensor(1.0)), q.icdf(torch.tensor(0.3)), q.variance, q.stddev, q.mode, q.has_rsample)
print(q.expand([3]), q.batch_shape, q.event_shape, q.arg_constraints, q.support)
for make in (
    lambda: dist.Normal(0.0, -1.0),
    lambda: dist.Normal(torch.tensor([0.0, 1.0]), torch.tensor([1.0, -2.0])),
    lambda: dist.Bernoulli(0.3).log_prob(torch.tensor(0.5)),
    lambda: dist.Poisson(2.0).log_prob(torch.tensor(-1.0)),
):
    try:
        make()
    except ValueError as error:
        print(error)
# correlations: the transform to their Cholesky factors, and two distributions of matrices
x = torch.tensor([0.3, -0.5, 1.2])
t = dist.transforms.CorrCholeskyTransform()
L = t(x)
print(L, t.inv(L), t.log_abs_det_jacobian(x, L), t.codomain)
lkj = dist.LKJCholesky(3, 1.5)
print(lkj, lkj.support, lkj.log_prob(L))
wishart = dist.Wishart(4.0, torch.tensor([[2.0, 0.5], [0.5, 1.0]]))
print(wishart, wishart.mean, wishart.mode, wishart.variance, wishart.entropy(), wishart.log_prob(torch.eye(2)))
both = dist.ContinuousBernoulli(torch.tensor([0.3, 0.5])), dist.GeneralizedPareto(torch.tensor(1.0), torch.tensor(2.0), torch.tensor(0.1))
for d in both:
    v = torch.tensor([0.2, 0.8]) + d.support.lower_bound
    print(d, d.mean, d.variance, d.cdf(v), d.icdf(torch.tensor([0.3, 0.7])), d.entropy(), d.log_prob(v))
print(dist.Beta(2.0, 3.0), dist.HalfNormal(1.0), dist.LogNormal(0.0, 1.0), dist.Chi2(3.0), dist.OneHotCategorical(torch.tensor([0.3, 0.7])))
print(dist.TransformedDistribution(dist.Normal(0.0, 1.0), [dist.ExpTransform()]), dist.constraints.interval(0, 1), dist.constraints.positive)
for p, q in (
    (dist.Beta(2.0, 1.0), dist.Gamma(2.0, 3.0)), (dist.Uniform(0.0, 0.5), dist.Gumbel(0.0, 1.0)), (dist.Gamma(2.0, 1.0), dist.Gumbel(0.0, 1.0)),
    (dist.Pareto(1.0, 2.5), dist.Exponential(1.0)), (dist.Exponential(1.0), dist.Uniform(0.0, 1.0)), (wishart, dist.Wishart(5.0, torch.eye(2))),
):  # fmt: skip
    print(type(p).__name__, type(q).__name__, dist.kl_divergence(p, q).detach())
