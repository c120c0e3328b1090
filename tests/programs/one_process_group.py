"""Distributed data parallel in a world of one process: init_process_group, DDP, all_reduce, samplers, barrier, rank-zero saving."""

import os
import tempfile

import torch
import torch.distributed as dist
import torch.nn as nn
import torch.optim as optim
from torch.nn.parallel import DistributedDataParallel as DDP
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler


def setup(rank, world_size):
    os.environ["MASTER_ADDR"] = "localhost"
    os.environ["MASTER_PORT"] = "29731"
    dist.init_process_group("gloo", rank=rank, world_size=world_size)


def cleanup():
    dist.destroy_process_group()


class ToyModel(nn.Module):
    def __init__(self):
        super(ToyModel, self).__init__()
        self.net1 = nn.Linear(10, 10)
        self.relu = nn.ReLU()
        self.net2 = nn.Linear(10, 5)

    def forward(self, x):
        return self.net2(self.relu(self.net1(x)))


def average_gradients(model):
    size = float(dist.get_world_size())
    for param in model.parameters():
        dist.all_reduce(param.grad.data, op=dist.ReduceOp.SUM)
        param.grad.data /= size


def demo(rank, world_size):
    print(f"Running DDP example on rank {rank}. {dist.is_available()} {dist.is_initialized()}")
    setup(rank, world_size)
    print(dist.is_initialized(), dist.get_rank(), dist.get_world_size(), dist.get_backend())
    model = ToyModel()
    for i, p in enumerate(model.parameters()):
        p.data = torch.cos(torch.arange(p.numel()) * (1.1 + i)).view_as(p) * 0.3
    ddp_model = DDP(model)
    loss_fn = nn.MSELoss()
    optimizer = optim.SGD(ddp_model.parameters(), lr=0.05)
    x = torch.sin(torch.arange(160.0)).view(16, 10)
    ds = TensorDataset(x, x[:, :5] * 2)
    sampler = DistributedSampler(ds, num_replicas=world_size, rank=rank, shuffle=False)
    loader = DataLoader(ds, batch_size=4, sampler=sampler)
    for epoch in range(2):
        sampler.set_epoch(epoch)
        for a, b in loader:
            optimizer.zero_grad()
            with ddp_model.no_sync():
                loss_fn(ddp_model(a), b).backward()
            loss = loss_fn(ddp_model(a), b)
            loss.backward()
            average_gradients(ddp_model)
            optimizer.step()
        total = loss.detach().clone()
        dist.all_reduce(total, op=dist.ReduceOp.AVG if False else dist.ReduceOp.SUM)
        print(epoch, total.item() / dist.get_world_size())
    path = os.path.join(tempfile.gettempdir(), "wengert_ddp_checkpoint.pt")
    if rank == 0:
        torch.save(ddp_model.state_dict(), path)
    dist.barrier()
    print(list(torch.load(path, map_location="cpu", weights_only=True))[:2])
    os.remove(path)
    t = torch.tensor([1.0, 2.0])
    out = [torch.zeros(2) for _ in range(world_size)]
    dist.all_gather(out, t)
    dist.broadcast(t, src=0)
    dist.reduce(t, dst=0, op=dist.ReduceOp.MAX)
    print(out, t)
    objs = [None] * world_size
    dist.all_gather_object(objs, {"rank": rank})
    print(objs)
    group = dist.new_group([0])
    dist.all_reduce(t, group=group)
    work = dist.all_reduce(t, async_op=True)
    work.wait()
    lst = ["a", 1]
    dist.broadcast_object_list(lst, src=0)
    print(t, lst)
    cleanup()
    print(dist.is_initialized())


if __name__ == "__main__":
    demo(0, 1)
    try:
        dist.all_reduce(torch.ones(1))
    except (RuntimeError, ValueError) as e:
        print(type(e).__name__)
