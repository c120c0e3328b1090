"""The asv suite: wengert's devices beside PyTorch, JAX, HIPS autograd, MyGrad and tinygrad, one file a stage.

Owns: how many threads everyone has, set before anything imports NumPy: one, or WENGERT_BENCH_THREADS. May import: os.
Must not know: any library. The libraries read these variables when they are loaded; PyTorch is told once more in `engines`.
"""

import os

COUNT = int(os.environ.get("WENGERT_BENCH_THREADS", 1))
THREADS = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POCL_MAX_PTHREAD_COUNT"), str(COUNT)),
    "NPROC": str(COUNT),  # what XLA makes its pool of threads by
    "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={str(COUNT > 1).lower()}",
    "JAX_PLATFORMS": "cpu",
    # threads that have nothing to do sleep: they would take a processor from who is measured next
    "OMP_WAIT_POLICY": "PASSIVE",
    "OPENBLAS_THREAD_TIMEOUT": "4",
}
os.environ.update(THREADS)
