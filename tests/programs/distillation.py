"""Knowledge distillation: soft targets with a temperature, features by forward hooks, frozen teacher, mixup and cutmix."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

rng = np.random.RandomState(4)


def net(width):
    return nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(1), nn.Linear(width * 16, 3))


def fill(m, k):
    for i, p in enumerate(m.parameters()):
        p.data = (torch.sin(torch.arange(p.numel()) * (k + 0.3 * i)) * 0.2).reshape(p.shape)
    return m


teacher, student = fill(net(8), 0.9), fill(net(2), 1.9)
for p in teacher.parameters():
    p.requires_grad = False
teacher.eval()
activation = {}


def get_activation(name):
    def hook(model, input, output):
        activation[name] = output.detach()

    return hook


handle = teacher[2].register_forward_hook(get_activation("pool"))
handle2 = student[2].register_forward_hook(lambda m, i, o: activation.__setitem__("student", o))
x = torch.tensor(rng.rand(16, 1, 8, 8), dtype=torch.float32)
labels = torch.tensor(rng.randint(0, 3, 16))


def mixup_data(x, y, alpha=1.0):
    lam = rng.beta(alpha, alpha) if alpha > 0 else 1
    index = torch.from_numpy(rng.permutation(x.size()[0]))
    return lam * x + (1 - lam) * x[index, :], y, y[index], lam


def cutmix(x, y):
    x = x.clone()
    index = torch.from_numpy(rng.permutation(x.size()[0]))
    cy, cx = rng.randint(2, 6, 2)
    x[:, :, cy - 2 : cy + 2, cx - 2 : cx + 2] = x[index, :, cy - 2 : cy + 2, cx - 2 : cx + 2]
    return x, y, y[index], 1 - 16 / 64


def loss_fn_kd(outputs, labels, teacher_outputs, T=4.0, alpha=0.7):
    return nn.KLDivLoss(reduction="batchmean")(F.log_softmax(outputs / T, dim=1), F.softmax(teacher_outputs / T, dim=1)) * (
        alpha * T * T
    ) + F.cross_entropy(outputs, labels) * (1.0 - alpha)


optimizer = torch.optim.Adadelta(student.parameters(), lr=1.0)
for step in range(8):
    inputs, a, b, lam = mixup_data(x, labels) if step % 2 else cutmix(x, labels)
    with torch.no_grad():
        teacher_logits = teacher(inputs)
    student_logits = student(inputs)
    kd = lam * loss_fn_kd(student_logits, a, teacher_logits) + (1 - lam) * loss_fn_kd(student_logits, b, teacher_logits)
    feature = F.mse_loss(activation["student"].mean(1), activation["pool"].mean(1))
    loss = kd + 0.5 * feature
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, f"{kd.item():.4f} {feature.item():.4f}", list(activation["pool"].shape))
handle.remove()
handle2.remove()
activation.clear()
teacher(x)
print(activation, all(p.grad is None for p in teacher.parameters()))
soft = F.kl_div(F.log_softmax(student(x), 1), F.log_softmax(teacher(x), 1), log_target=True, reduction="batchmean")
print(f"{soft.item():.4f}", f"{F.cross_entropy(student(x), F.one_hot(labels, 3).float()).item():.4f}")
