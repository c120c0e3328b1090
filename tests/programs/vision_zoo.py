"""MobileNet inverted residuals, squeeze-excite, DenseNet with checkpoint, MLP-Mixer with einops-like reshapes, ConvNeXt, U-Net upsampling, hooks for CAM."""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.utils.checkpoint as cp
from torch import Tensor


def fill(m, s=0.2):
    for i, p in enumerate(m.parameters()):
        p.data = torch.cos(torch.arange(p.numel()) * (1.1 + i)).view_as(p) * s
    return m


def _make_divisible(v, divisor, min_value=None):
    if min_value is None:
        min_value = divisor
    new_v = max(min_value, int(v + divisor / 2) // divisor * divisor)
    if new_v < 0.9 * v:
        new_v += divisor
    return new_v


class ConvNormActivation(nn.Sequential):
    def __init__(
        self,
        inp,
        out,
        kernel_size=3,
        stride=1,
        groups=1,
        norm_layer: Callable[..., nn.Module] | None = nn.BatchNorm2d,
        activation_layer=nn.ReLU6,
        dilation=1,
    ):
        padding = (kernel_size - 1) // 2 * dilation
        layers: list[nn.Module] = [
            nn.Conv2d(inp, out, kernel_size, stride, padding, dilation=dilation, groups=groups, bias=norm_layer is None)
        ]
        if norm_layer is not None:
            layers.append(norm_layer(out))
        if activation_layer is not None:
            layers.append(activation_layer(inplace=True))
        super().__init__(*layers)


class SqueezeExcitation(nn.Module):
    def __init__(self, c, s):
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1, self.fc2 = nn.Conv2d(c, s, 1), nn.Conv2d(s, c, 1)
        self.activation, self.scale_activation = nn.ReLU(), nn.Hardsigmoid()

    def forward(self, x):
        scale = self.avgpool(x)
        scale = self.scale_activation(self.fc2(self.activation(self.fc1(scale))))
        return scale * x


class InvertedResidual(nn.Module):
    def __init__(self, inp, oup, stride, expand_ratio, use_se=False):
        super().__init__()
        hidden_dim = int(round(inp * expand_ratio))
        self.use_res_connect = stride == 1 and inp == oup
        layers = []
        if expand_ratio != 1:
            layers.append(ConvNormActivation(inp, hidden_dim, kernel_size=1, activation_layer=nn.Hardswish))
        layers.extend(
            [
                ConvNormActivation(hidden_dim, hidden_dim, stride=stride, groups=hidden_dim),
                SqueezeExcitation(hidden_dim, _make_divisible(hidden_dim // 4, 2)) if use_se else nn.Identity(),
                nn.Conv2d(hidden_dim, oup, 1, 1, 0, bias=False),
                nn.BatchNorm2d(oup, momentum=0.01, eps=1e-3),
            ]
        )
        self.conv = nn.Sequential(*layers)

    def forward(self, x):
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


class _DenseLayer(nn.Module):
    def __init__(self, num_input_features, growth_rate, bn_size, drop_rate, memory_efficient=False):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(num_input_features)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(num_input_features, bn_size * growth_rate, kernel_size=1, stride=1, bias=False)
        self.norm2 = nn.BatchNorm2d(bn_size * growth_rate)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(bn_size * growth_rate, growth_rate, kernel_size=3, stride=1, padding=1, bias=False)
        self.drop_rate = float(drop_rate)
        self.memory_efficient = memory_efficient

    def bn_function(self, inputs: list[Tensor]) -> Tensor:
        concated_features = torch.cat(inputs, 1)
        return self.conv1(self.relu1(self.norm1(concated_features)))

    def forward(self, input):
        prev_features = [input] if isinstance(input, Tensor) else input
        if self.memory_efficient and any(t.requires_grad for t in prev_features):
            bottleneck_output = cp.checkpoint(lambda *i: self.bn_function(i), *prev_features, use_reentrant=False)
        else:
            bottleneck_output = self.bn_function(prev_features)
        new_features = self.conv2(self.relu2(self.norm2(bottleneck_output)))
        if self.drop_rate > 0:
            new_features = F.dropout(new_features, p=self.drop_rate, training=self.training)
        return new_features


class _DenseBlock(nn.ModuleDict):
    def __init__(self, num_layers, num_input_features, growth_rate, memory_efficient=False):
        super().__init__()
        for i in range(num_layers):
            self.add_module(
                "denselayer%d" % (i + 1), _DenseLayer(num_input_features + i * growth_rate, growth_rate, 2, 0, memory_efficient)
            )

    def forward(self, init_features):
        features = [init_features]
        for name, layer in self.items():
            features.append(layer(features))
        return torch.cat(features, 1)


class MixerBlock(nn.Module):
    def __init__(self, dim, n, expansion=2):
        super().__init__()
        self.token = nn.Sequential(nn.LayerNorm(dim), nn.Conv1d(n, n * expansion, 1), nn.GELU(), nn.Conv1d(n * expansion, n, 1))
        self.chan = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, dim * expansion), nn.GELU(), nn.Linear(dim * expansion, dim)
        )

    def forward(self, x):
        x = x + self.token(x)
        return x + self.chan(x)


class LayerNorm2d(nn.LayerNorm):
    def forward(self, x):
        x = x.permute(0, 2, 3, 1)
        x = F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


class CNBlock(nn.Module):
    def __init__(self, dim, layer_scale=1e-1, norm_layer=partial(nn.LayerNorm, eps=1e-6)):
        super().__init__()
        self.dw = nn.Conv2d(dim, dim, kernel_size=7, padding=3, groups=dim)
        self.block = nn.Sequential(norm_layer(dim), nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        self.layer_scale = nn.Parameter(torch.ones(dim, 1, 1) * layer_scale)

    def forward(self, x):
        y = self.block(self.dw(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        y = self.layer_scale * y
        return y.add_(x)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            OrderedDict(
                [
                    ("stem", ConvNormActivation(3, 4, stride=2)),
                    ("ir1", InvertedResidual(4, 4, 1, 2, True)),
                    ("ir2", InvertedResidual(4, 6, 1, 1)),
                    ("dense", _DenseBlock(2, 6, 3, memory_efficient=True)),
                    ("ln", LayerNorm2d(12)),
                    ("cn", CNBlock(12)),
                    ("up", nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)),
                    ("pool", nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False)),
                ]
            )
        )
        self.mixer = MixerBlock(12, 16)
        self.classifier = nn.Sequential(nn.Dropout(p=0.0), nn.Linear(12, 5))
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out")
                if m.bias is not None:
                    nn.init.zeros_(m.bias)
            elif isinstance(m, (nn.BatchNorm2d, nn.GroupNorm)):
                nn.init.ones_(m.weight)
                nn.init.zeros_(m.bias)
            elif isinstance(m, nn.Linear):
                nn.init.trunc_normal_(m.weight, std=0.02)

    def forward(self, x):
        x = self.features(x)
        x = self.mixer(x.flatten(2).transpose(1, 2))
        return self.classifier(x.mean([1]))


model = fill(Net())
acts, grads = {}, {}
h1 = model.features.cn.register_forward_hook(lambda m, i, o: acts.__setitem__("cn", o.detach()))
h2 = model.features.cn.register_full_backward_hook(lambda m, gi, go: grads.__setitem__("cn", go[0].detach()))
x = torch.sin(torch.arange(2 * 3 * 64) * 0.3).view(2, 3, 8, 8)
opt = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
sched = torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=0.05, total_steps=8)
for i in range(4):
    loss = F.cross_entropy(model(x), torch.tensor([1, 4]))
    opt.zero_grad()
    loss.backward()
    opt.step()
    sched.step()
    print("%.5f %.5f" % (loss.item(), sched.get_last_lr()[0]))
cam = F.relu((grads["cn"].mean(dim=(2, 3), keepdim=True) * acts["cn"]).sum(1))
print(cam.shape, cam.sum().item())
h1.remove()
h2.remove()
model.eval()
with torch.no_grad():
    print(model(x))
print(sum(p.numel() for p in model.parameters()), len(list(model.modules())))
fused = torch.nn.utils.fusion.fuse_conv_bn_eval(model.features.stem[0], model.features.stem[1])
print(torch.allclose(fused(x), model.features.stem[1](model.features.stem[0](x)), atol=1e-5), model.features.ir1)
