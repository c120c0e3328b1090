"""Distances of vectors as modules.

Owns: their arguments. May import: Module, `nn.functional`. Must not know: devices.
"""

from __future__ import annotations

from typing import Any

from wengert.nn import functional as F
from wengert_nn.modules.module import Settings


class PairwiseDistance(Settings):
    """|x1 - x2 + eps|, the p-norm over the last dim"""

    __constants__ = ["norm", "eps", "keepdim"]

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__(norm=p, eps=eps, keepdim=keepdim)

    def forward(self, x1: Any, x2: Any) -> Any:
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)


class CosineSimilarity(Settings):
    """x1 . x2 / max(|x1| |x2|, eps) along dim"""

    __constants__ = ["dim", "eps"]

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__(dim=dim, eps=eps)

    def forward(self, x1: Any, x2: Any) -> Any:
        return F.cosine_similarity(x1, x2, self.dim, self.eps)
