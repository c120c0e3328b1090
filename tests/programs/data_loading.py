"""Datasets, samplers, collate functions and workers."""

import numpy as np
import torch
from torch.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    SequentialSampler,
    Subset,
    TensorDataset,
    WeightedRandomSampler,
    get_worker_info,
    random_split,
)


class Sequences(Dataset):
    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return {"x": torch.arange(i % 3 + 1, dtype=torch.float), "name": f"item{i}", "value": i / 2, "pair": (i, np.float32(i))}


class Stream(IterableDataset):
    def __iter__(self):
        info = get_worker_info()
        first, step = (0, 1) if info is None else (info.id, info.num_workers)
        yield from range(first, 10, step)


def pad(batch):
    longest = max(len(b["x"]) for b in batch)
    x = torch.zeros(len(batch), longest)
    for row, b in zip(x, batch):
        row[: len(b["x"])] = b["x"]
    return x, [b["name"] for b in batch]


if __name__ == "__main__":
    for x, names in DataLoader(Sequences(7), batch_size=3, collate_fn=pad):
        print(tuple(x.shape), x.sum().item(), names)
    for batch in DataLoader(Subset(Sequences(9), [0, 3, 6]), batch_size=2, num_workers=2):
        print(batch["x"].shape, batch["name"], batch["value"], batch["value"].dtype, batch["pair"])
    print([b.tolist() for b in DataLoader(Stream(), batch_size=4)])
    print(sorted(v for b in DataLoader(Stream(), batch_size=2, num_workers=2) for v in b.tolist()))
    whole = TensorDataset(torch.arange(20).reshape(10, 2), torch.arange(10))
    a, b = random_split(whole, [0.7, 0.3], generator=torch.Generator().manual_seed(0))
    print(len(a), len(b), sorted(int(whole[i][1]) for i in a.indices + b.indices))
    both = ConcatDataset([whole, whole])
    print(len(both), both[12], both[-1])
    loader = DataLoader(whole, batch_sampler=BatchSampler(SequentialSampler(whole), 4, drop_last=True))
    print(len(loader), [y.tolist() for _, y in loader])
    drawn = list(WeightedRandomSampler([0.0, 1.0, 0.0, 3.0], 50))
    print(len(drawn), set(drawn) == {1, 3})
    shuffled = DataLoader(whole, batch_size=5, shuffle=True, generator=torch.Generator().manual_seed(3))
    print(sorted(v for _, y in shuffled for v in y.tolist()), len(shuffled))
    print(next(iter(DataLoader([1.5, 2.5], batch_size=None))), next(iter(DataLoader(["a", "b"], batch_size=2))))
