"""The asv suite: wengert beside PyTorch, one file a stage.

Owns: one thread for everyone, set before anything imports NumPy. May import: os. Must not know: any library.
The linear-algebra libraries read these variables when they are loaded; PyTorch is told once more in `common.load`.
"""

import os

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
os.environ.update(dict.fromkeys(THREADS, "1"))
