"""`wengert.nn.modules`: the names of `wengert.nn`, by the modules that PyTorch has them in ("nn.modules.conv.Conv2d").

Owns: those modules' names; each shows all of `wengert.nn`. Must not know: any class.
"""

import sys
import types

from wengert import registry

__getattr__, __dir__ = registry.lazy("modules", "nn.modules")

for _name in (
    "activation adaptive batchnorm channelshuffle container conv distance dropout flatten fold instancenorm lazy linear loss "
    "module normalization padding pixelshuffle pooling rnn sparse transformer upsampling utils"
).split():
    _module = types.ModuleType(f"{__name__}.{_name}", f"What PyTorch has in nn.modules.{_name}, and the rest of `wengert.nn`.")
    sys.modules[_module.__name__] = globals()[_name] = _module
    _module.__getattr__, _module.__dir__ = registry.lazy("modules", f"nn.modules.{_name}")  # type: ignore[method-assign]
