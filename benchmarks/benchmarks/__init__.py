"""The asv suite: wengert's devices beside PyTorch, JAX, HIPS autograd, MyGrad and tinygrad, one file a stage.

Owns: one thread for everyone, set before anything imports NumPy. May import: os. Must not know: any library.
The libraries read these variables when they are loaded; PyTorch is told once more in `engines`.
"""

import os

THREADS = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POCL_MAX_PTHREAD_COUNT"), "1"),
    "NPROC": "1",  # what XLA makes its pool of threads by
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "JAX_PLATFORMS": "cpu",
}
os.environ.update(THREADS)
