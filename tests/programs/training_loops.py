"""Training loops: transfer learning with phases and best weights, freezing, discriminative rates, many schedulers and optimizers, EMA and SWA, gradient accumulation, clipping, early stopping, mixed precision, DataParallel."""

import contextlib
import copy
import math
import time
from collections import defaultdict, deque

import torch
import torch.backends.cudnn as cudnn
import torch.nn as nn
import torch.nn.functional as F
from torch.optim import lr_scheduler
from torch.optim.swa_utils import SWALR, AveragedModel, get_ema_multi_avg_fn, update_bn
from torch.utils.data import DataLoader, TensorDataset

cudnn.benchmark = True
device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
device_name = device.type


def fill(m, s=0.3):
    for i, p in enumerate(m.parameters()):
        p.data = torch.cos(torch.arange(p.numel()) * (1.1 + i)).view_as(p) * s
    return m


X = torch.sin(torch.arange(40 * 6) * 0.37).view(40, 6)
Y = (X[:, 0] + X[:, 1] > 0).long() + (X[:, 2] > 0.5).long()
sets = {"train": TensorDataset(X[:28], Y[:28]), "val": TensorDataset(X[28:], Y[28:])}
dataloaders = {x: DataLoader(sets[x], batch_size=7, shuffle=False) for x in sets}
dataset_sizes = {x: len(sets[x]) for x in sets}


class Backbone(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(True), nn.Linear(8, 8), nn.ReLU(True))
        self.fc = nn.Linear(8, 10)

    def forward(self, x):
        return self.fc(self.features(x))


def train_model(model, criterion, optimizer, scheduler, num_epochs=25):
    since = time.time()
    best_model_wts = copy.deepcopy(model.state_dict())
    best_acc = 0.0
    for epoch in range(num_epochs):
        for phase in ["train", "val"]:
            model.train() if phase == "train" else model.eval()
            running_loss, running_corrects = 0.0, 0
            for inputs, labels in dataloaders[phase]:
                inputs, labels = inputs.to(device), labels.to(device, non_blocking=True)
                optimizer.zero_grad()
                with torch.set_grad_enabled(phase == "train"):
                    outputs = model(inputs)
                    _, preds = torch.max(outputs, 1)
                    loss = criterion(outputs, labels)
                    if phase == "train":
                        loss.backward()
                        optimizer.step()
                running_loss += loss.item() * inputs.size(0)
                running_corrects += torch.sum(preds == labels.data)
            if phase == "train":
                scheduler.step()
            epoch_loss = running_loss / dataset_sizes[phase]
            epoch_acc = running_corrects.double() / dataset_sizes[phase]
            print(f"{phase} Loss: {epoch_loss:.4f} Acc: {epoch_acc:.4f}")
            if phase == "val" and epoch_acc > best_acc:
                best_acc = epoch_acc
                best_model_wts = copy.deepcopy(model.state_dict())
    assert time.time() - since < 60
    model.load_state_dict(best_model_wts)
    return model


model_ft = fill(Backbone())
for param in model_ft.features.parameters():
    param.requires_grad = False
num_ftrs = model_ft.fc.in_features
model_ft.fc = fill(nn.Linear(num_ftrs, 3))
model_ft = model_ft.to(device)
optimizer_ft = torch.optim.SGD(model_ft.fc.parameters(), lr=0.1, momentum=0.9)
model_ft = train_model(
    model_ft, nn.CrossEntropyLoss(), optimizer_ft, lr_scheduler.StepLR(optimizer_ft, step_size=2, gamma=0.1), 3
)
model = fill(Backbone())
groups = [{"params": model.features.parameters(), "lr": 1e-3}, {"params": model.fc.parameters()}]
for make in (
    lambda: torch.optim.SGD(groups, lr=0.05, momentum=0.9, dampening=0.1),
    lambda: torch.optim.RMSprop(model.parameters(), lr=1e-2, centered=True, momentum=0.5),
    lambda: torch.optim.Adamax(model.parameters()),
    lambda: torch.optim.NAdam(model.parameters(), decoupled_weight_decay=True, weight_decay=0.1),
    lambda: torch.optim.RAdam(model.parameters()),
    lambda: torch.optim.Rprop(model.parameters(), lr=1e-3),
    lambda: torch.optim.ASGD(model.parameters(), lr=1e-2),
    lambda: torch.optim.Adadelta(model.parameters()),
    lambda: torch.optim.Adagrad(model.parameters(), lr_decay=0.1),
    lambda: torch.optim.Adafactor(model.parameters()),
):
    fill(model)
    groups = [{"params": model.features.parameters(), "lr": 1e-3}, {"params": model.fc.parameters()}]
    opt = make()
    for i in range(4):
        loss = F.cross_entropy(model(X), Y)
        opt.zero_grad()
        loss.backward()
        opt.step()
    print(type(opt).__name__, "%.5f" % loss.item())
p = nn.Parameter(torch.zeros(1))


def rates(make, n=8, metric=None):
    opt = torch.optim.SGD([p], lr=1.0)
    s = make(opt)
    out = []
    for i in range(n):
        opt.step()
        s.step(metric(i)) if metric else s.step()
        out.append(round(opt.param_groups[0]["lr"], 5))
    return out


L = lr_scheduler
for make, metric in (
    (lambda o: L.MultiStepLR(o, [2, 5], 0.5), None),
    (lambda o: L.ExponentialLR(o, 0.9), None),
    (lambda o: L.CosineAnnealingWarmRestarts(o, 3, 2, 0.01), None),
    (lambda o: L.CyclicLR(o, 0.1, 1.0, 2, mode="triangular2"), None),
    (lambda o: L.LambdaLR(o, lambda e: min(1, (e + 1) / 4)), None),
    (lambda o: L.PolynomialLR(o, 5, 2.0), None),
    (lambda o: L.ConstantLR(o, 0.2, 3), None),
    (lambda o: L.MultiplicativeLR(o, lambda e: 0.8), None),
    (lambda o: L.ChainedScheduler([L.ExponentialLR(o, 0.9), L.LinearLR(o, 0.5, 1.0, 4)]), None),
    (lambda o: L.ReduceLROnPlateau(o, "min", factor=0.1, patience=1, cooldown=1), lambda i: [3, 2, 2, 2, 2, 2, 1, 1][i]),
):
    print(rates(make, metric=metric))


class EarlyStopping:
    def __init__(self, patience=2, delta=0):
        self.patience, self.delta, self.counter, self.best, self.early_stop = patience, delta, 0, math.inf, False

    def __call__(self, v):
        self.counter = 0 if v < self.best - self.delta else self.counter + 1
        self.best = min(self.best, v)
        self.early_stop = self.counter >= self.patience


fill(model)
ema = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
swa = AveragedModel(model)
opt = torch.optim.AdamW(model.parameters(), lr=2e-2)
swa_sched = SWALR(opt, swa_lr=0.01, anneal_epochs=2, anneal_strategy="cos")
scaler = torch.amp.GradScaler(device_name, enabled=torch.cuda.is_available())
stop, history, window = EarlyStopping(), defaultdict(list), deque(maxlen=3)
ctx = (
    torch.autocast(device_type=device_name, dtype=torch.bfloat16, enabled=False)
    if device_name == "cuda"
    else contextlib.nullcontext()
)
for epoch in range(6):
    opt.zero_grad(set_to_none=True)
    for i, (a, b) in enumerate(dataloaders["train"]):
        with ctx:
            loss = F.cross_entropy(model(a), b, label_smoothing=0.05) / 2
        scaler.scale(loss).backward()
        if (i + 1) % 2 == 0 or i + 1 == len(dataloaders["train"]):
            scaler.unscale_(opt)
            total = nn.utils.clip_grad_norm_(model.parameters(), max_norm=0.5, norm_type=2.0, error_if_nonfinite=True)
            scaler.step(opt)
            scaler.update()
            opt.zero_grad()
            ema.update_parameters(model)
    if epoch >= 3:
        swa.update_parameters(model)
        swa_sched.step()
    window.append(loss.item())
    history["loss"].append(sum(window) / len(window))
    stop(history["loss"][-1])
    print("%d %.5f %.5f %.5f" % (epoch, loss.item(), total, opt.param_groups[0]["lr"]), stop.early_stop)
update_bn(dataloaders["train"], swa, device=device)
print(F.cross_entropy(swa(X), Y).item(), round(F.cross_entropy(ema.eval()(X), Y).item(), 2), swa.n_averaged, list(ema.state_dict())[:2])
net = nn.DataParallel(model)
print(torch.allclose(net(X), model(X)), list(net.state_dict())[0], scaler.is_enabled())
