"""Grad-CAM by hooks, feature extraction, per-layer statistics, gradient clipping by hooks, a module that counts calls."""

from functools import partial

import torch
import torch.nn as nn
import torch.nn.functional as F


class SmallVGG(nn.Module):
    cfg = [4, "M", 8, "M"]

    def __init__(self, num_classes=3):
        super().__init__()
        layers, c = [], 1
        for v in self.cfg:
            if v == "M":
                layers += [nn.MaxPool2d(kernel_size=2, stride=2)]
            else:
                layers += [nn.Conv2d(c, v, kernel_size=3, padding=1), nn.BatchNorm2d(v), nn.ReLU(inplace=False)]
                c = v
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((2, 2))
        self.classifier = nn.Sequential(nn.Linear(8 * 4, 16), nn.ReLU(True), nn.Dropout(p=0.5), nn.Linear(16, num_classes))

    def forward(self, x):
        x = self.avgpool(self.features(x))
        return self.classifier(x.view(x.size(0), -1))


model = SmallVGG()
for i, p in enumerate(model.parameters()):
    if p.dim() > 1:
        p.data.copy_(torch.sin(torch.arange(p.numel()) * (1 + 0.2 * i)).view_as(p) * 0.4)
    else:
        nn.init.constant_(p, 0.1 if i % 2 else 1.0)
model.eval()
features, gradients, sizes = {}, {}, []


def save(name, module, input, output):
    features[name] = output


handles = [m.register_forward_hook(partial(save, n)) for n, m in model.named_modules() if isinstance(m, nn.Conv2d)]
handles.append(model.features[4].register_full_backward_hook(lambda m, gi, go: gradients.update(out=go[0], inn=gi[0])))
handles.append(model.classifier.register_forward_pre_hook(lambda m, args: (args[0] * 1.0,)))
handles.append(model.classifier[0].register_forward_hook(lambda m, a, kw, out: sizes.append((len(a), sorted(kw))), with_kwargs=True))
x = torch.sin(torch.arange(2 * 64).float() * 0.3).view(2, 1, 8, 8).requires_grad_()
out = model(x)
score = out[:, out.argmax(1)].diagonal().sum()
score.backward()
weights = gradients["out"].mean(dim=(2, 3), keepdim=True)
cam = F.relu((weights * features["features.4"]).sum(1, keepdim=True))
cam = F.interpolate(cam, size=x.shape[2:], mode="bilinear", align_corners=False)
cam = (cam - cam.amin((2, 3), keepdim=True)) / (cam.amax((2, 3), keepdim=True) - cam.amin((2, 3), keepdim=True) + 1e-8)
print(out.shape, {k: tuple(v.shape) for k, v in features.items()}, gradients["inn"].shape, sizes)
print([f"{v:.3f}" for v in cam[0, 0, ::3, ::3].flatten().tolist()])
print(f"{x.grad.abs().amax().item():.4f}", x.grad.abs().amax(dim=1).shape)
for h in handles:
    h.remove()
for p in model.parameters():
    p.register_hook(lambda grad: torch.clamp(grad, -0.01, 0.01))
model.zero_grad()
model(x).sum().backward()
print(max(p.grad.abs().max().item() for p in model.parameters()))
print(model.get_submodule("classifier.3").out_features, model.get_parameter("features.0.bias").shape)
extractor = nn.Sequential(*list(model.children())[:-1])
print(extractor(x).shape, len(list(model.modules())), [n for n, _ in model.named_children()])
total = sum(p.numel() for p in model.parameters())
for name, module in model.named_modules():
    if not list(module.children()):
        print(f"{name:<15}{module.__class__.__name__:<18}{sum(p.numel() for p in module.parameters()):>6}")
print(f"{total:,}", model.features[3:5])
model.requires_grad_(False)
model.classifier = nn.Linear(32, 2)
print([n for n, p in model.named_parameters() if p.requires_grad])
