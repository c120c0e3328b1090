"""`wengert.nn`: a namespace over the registry; every module in it comes from a plugin.

Owns: nothing. Must not know: any module.
"""

from typing import TYPE_CHECKING

from wengert import registry

if TYPE_CHECKING:  # what type checkers and editors see as wengert.nn.*
    from wengert_nn.modules.activation import *  # noqa: F403
    from wengert_nn.modules.adaptive import *  # noqa: F403
    from wengert_nn.modules.attention import *  # noqa: F403
    from wengert_nn.modules.compiled import *  # noqa: F403
    from wengert_nn.modules.container import *  # noqa: F403
    from wengert_nn.modules.conv import *  # noqa: F403
    from wengert_nn.modules.distance import *  # noqa: F403
    from wengert_nn.modules.dropout import *  # noqa: F403
    from wengert_nn.modules.lazy import *  # noqa: F403
    from wengert_nn.modules.linear import *  # noqa: F403
    from wengert_nn.modules.loss import *  # noqa: F403
    from wengert_nn.modules.module import *  # noqa: F403
    from wengert_nn.modules.norm import *  # noqa: F403
    from wengert_nn.modules.parameter import *  # noqa: F403
    from wengert_nn.modules.pooling import *  # noqa: F403
    from wengert_nn.modules.recurrent import *  # noqa: F403
    from wengert_nn.modules.shape import *  # noqa: F403
    from wengert_nn.modules.sparse import *  # noqa: F403
    from wengert_nn.modules.transformer import *  # noqa: F403

__getattr__, __dir__ = registry.lazy("modules", "nn", own=("functional", "grad", "init", "modules", "parameter", "utils"))
