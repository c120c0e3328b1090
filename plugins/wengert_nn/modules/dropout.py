"""Dropout as layers: noise in training, nothing in evaluation.

Owns: their arguments. May import: Module, `nn.functional`. Must not know: devices.
"""

from __future__ import annotations

from typing import Any

from wengert.nn import functional as F
from wengert_nn.modules.module import Settings


class _DropoutNd(Settings):
    __constants__ = ["p", "inplace"]
    shown = "p inplace"

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        super().__init__(p=p, inplace=inplace)


class Dropout(_DropoutNd):
    """Zero each element with probability p; the rest over 1 - p."""

    def forward(self, input: Any) -> Any:
        return F.dropout(input, self.p, self.training, self.inplace)


class Dropout1d(_DropoutNd):
    """Zero whole channels of [batch, channels, length] with probability p; the rest over 1 - p."""

    def forward(self, input: Any) -> Any:
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_DropoutNd):
    """Zero whole channels of [batch, channels, height, width] with probability p; the rest over 1 - p."""

    def forward(self, input: Any) -> Any:
        return F.dropout2d(input, self.p, self.training, self.inplace)


class Dropout3d(_DropoutNd):
    """Zero whole channels of [batch, channels, depth, height, width] with probability p; the rest over 1 - p."""

    def forward(self, input: Any) -> Any:
        return F.dropout3d(input, self.p, self.training, self.inplace)


class AlphaDropout(_DropoutNd):
    """Dropout for SELU: elements take its lower limit with probability p; mean and variance are kept."""

    def forward(self, input: Any) -> Any:
        return F.alpha_dropout(input, self.p, self.training)


class FeatureAlphaDropout(_DropoutNd):
    """AlphaDropout of whole channels."""

    def forward(self, input: Any) -> Any:
        return F.feature_alpha_dropout(input, self.p, self.training)
