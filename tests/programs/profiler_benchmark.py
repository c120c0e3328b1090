"""Profiler recipe and benchmark recipe: contexts, schedule, key_averages tables, Timer and Compare (structure only: times vary)."""

import torch
import torch.nn as nn
import torch.utils.benchmark as benchmark
from torch.profiler import ProfilerActivity, profile, record_function, schedule

model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3))
inputs = torch.ones(2, 3, 8, 8)
with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as prof:
    with record_function("model_inference"):
        model(inputs)
table = prof.key_averages().table(sort_by="cpu_time_total", row_limit=10)
print("model_inference" in table)
names = [e.key for e in prof.key_averages()]
print("model_inference" in names, [e.count for e in prof.key_averages() if e.key == "model_inference"])
t2 = prof.key_averages(group_by_input_shape=True).table(sort_by="self_cpu_time_total", row_limit=10)
print(len(t2) > 0)
with profile(activities=[ProfilerActivity.CPU], profile_memory=True, record_shapes=True) as prof:
    model(inputs)
print(len(prof.key_averages().table(sort_by="self_cpu_memory_usage", row_limit=10)) > 0)
my_schedule = schedule(skip_first=2, wait=1, warmup=1, active=2, repeat=1)
print([my_schedule(i).name for i in range(8)])


def trace_handler(p):
    output = p.key_averages().table(sort_by="self_cpu_time_total", row_limit=10)
    print(p.step_num, len(output) > 0)


with profile(
    activities=[ProfilerActivity.CPU], schedule=schedule(wait=1, warmup=1, active=2), on_trace_ready=trace_handler
) as p:
    for idx in range(8):
        model(inputs)
        p.step()
prof = torch.profiler.profile(
    schedule=torch.profiler.schedule(wait=1, warmup=1, active=1, repeat=1),
    record_shapes=True,
    on_trace_ready=lambda p: print("ready", p.step_num),
    with_stack=True,
)
prof.start()
for step in range(4):
    prof.step()
    model(inputs).sum().backward()
prof.stop()
with torch.autograd.profiler.profile(with_stack=True, profile_memory=True) as prof:
    model(inputs)
print(len(str(prof.key_averages(group_by_stack_n=5).table(sort_by="self_cpu_time_total", row_limit=5))) > 10)
with torch.autograd.profiler.record_function("label"):
    pass


def batched_dot_mul_sum(a, b):
    """Computes batched dot by multiplying and summing"""
    return a.mul(b).sum(-1)


def batched_dot_bmm(a, b):
    """Computes batched dot by reducing to bmm"""
    a = a.reshape(-1, 1, a.shape[-1])
    b = b.reshape(-1, b.shape[-1], 1)
    return torch.bmm(a, b).flatten(-3)


x = torch.ones(100, 16)
assert batched_dot_mul_sum(x, x).allclose(batched_dot_bmm(x, x))
t0 = benchmark.Timer(
    stmt="batched_dot_mul_sum(x, x)",
    setup="from __main__ import batched_dot_mul_sum",
    globals={"x": x},
    num_threads=torch.get_num_threads(),
    label="Multithreaded batch dot",
    sub_label="Implemented using mul and sum",
)
m = t0.timeit(10)
print(m.mean > 0, m.median > 0, m.iqr >= 0, len(m.times), m.number_per_run)
results = []
for b in [1, 10]:
    for num_threads in [1]:
        x = torch.ones((b, 16))
        for name, fn in (("mul/sum", batched_dot_mul_sum), ("bmm", batched_dot_bmm)):
            results.append(
                benchmark.Timer(
                    stmt="fn(x, x)",
                    globals={"x": x, "fn": fn},
                    num_threads=num_threads,
                    label="Batched dot",
                    sub_label=f"[{b}, 16]",
                    description=name,
                ).blocked_autorange(min_run_time=0.01)
            )
compare = benchmark.Compare(results)
compare.trim_significant_figures()
compare.colorize()
lines = str(compare).splitlines()
print(any("Batched dot" in line for line in lines), any("mul/sum" in line and "bmm" in line for line in lines))
