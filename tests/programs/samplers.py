"""Custom datasets, samplers, batch samplers, collate functions, worker processes and seeds."""

import random
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    Sampler,
    Subset,
    WeightedRandomSampler,
    get_worker_info,
)
from torch.utils.data.sampler import SequentialSampler, SubsetRandomSampler


class Words(Dataset):
    def __init__(self, n, transform=None, target_transform=None):
        self.items = [torch.arange(i % 5 + 1) for i in range(n)]
        self.transform, self.target_transform = transform, target_transform

    def __len__(self):
        return len(self.items)

    def __getitem__(self, idx):
        if torch.is_tensor(idx):
            idx = idx.tolist()
        x, y = self.items[idx], idx % 2
        if self.transform:
            x = self.transform(x)
        if self.target_transform:
            y = self.target_transform(y)
        return x, y


class BucketSampler(Sampler[list[int]]):
    def __init__(self, lengths, batch_size):
        self.lengths, self.batch_size = lengths, batch_size

    def __iter__(self) -> Iterator[list[int]]:
        buckets = defaultdict(list)
        for i, n in enumerate(self.lengths):
            buckets[n].append(i)
            if len(buckets[n]) == self.batch_size:
                yield buckets.pop(n)
        yield from buckets.values()

    def __len__(self):
        return sum(1 for _ in self)


def pad_collate(batch):
    xs, ys = zip(*batch)
    lengths = torch.tensor([len(x) for x in xs])
    return torch.nn.utils.rnn.pad_sequence(xs, batch_first=True, padding_value=-1), lengths, torch.tensor(ys)


def seed_worker(worker_id):
    worker_seed = torch.initial_seed() % 2**32
    np.random.seed(worker_seed)
    random.seed(worker_seed)


class Stream(IterableDataset):
    def __init__(self, start, end):
        super().__init__()
        self.start, self.end = start, end

    def __iter__(self):
        info = get_worker_info()
        if info is None:
            lo, hi = self.start, self.end
        else:
            per = (self.end - self.start + info.num_workers - 1) // info.num_workers
            lo = self.start + info.id * per
            hi = min(lo + per, self.end)
        return iter(range(lo, hi))


class Compose:
    def __init__(self, transforms):
        self.transforms = transforms

    def __call__(self, x):
        for t in self.transforms:
            x = t(x)
        return x


if __name__ == "__main__":
    data = Words(13, transform=Compose([lambda x: x * 2, lambda x: x + 1]), target_transform=lambda y: 1 - y)
    sampler = BucketSampler([len(x) for x in data.items], 2)
    for x, lengths, y in DataLoader(data, batch_sampler=sampler, collate_fn=pad_collate):
        print(x.tolist(), lengths.tolist(), y.tolist())
    print(len(DataLoader(data, batch_sampler=sampler)))
    g = torch.Generator()
    g.manual_seed(0)
    loader = DataLoader(Words(12), batch_size=4, num_workers=2, collate_fn=pad_collate, worker_init_fn=seed_worker, generator=g, persistent_workers=True, prefetch_factor=2)
    for epoch in range(2):
        print([tuple(x.shape) for x, _, _ in loader])
    print(sorted(DataLoader(Stream(3, 10), num_workers=2, batch_size=None)), [b.tolist() for b in DataLoader(Stream(0, 5), batch_size=2)])
    counts = torch.bincount(torch.tensor([y for _, y in Words(9)]))
    weights = [1.0 / counts[y].item() for _, y in Words(9)]
    drawn = list(WeightedRandomSampler(weights, 1000, replacement=True))
    print(len(drawn), 400 < sum(i % 2 for i in drawn) < 600)
    indices = list(range(13))
    train, val = SubsetRandomSampler(indices[3:]), SubsetRandomSampler(indices[:3])
    seen = [y for _, _, ys in DataLoader(data, batch_size=3, sampler=train, collate_fn=pad_collate) for y in ys.tolist()]
    print(len(seen), len(list(val)), list(BatchSampler(SequentialSampler(range(7)), batch_size=3, drop_last=True)))
    both = ConcatDataset([Words(3), Subset(Words(10), [7, 8])])
    print(len(both), both[4][1], both[-1][0].tolist(), [len(x) for x, _ in (both[i] for i in range(5))])
    batch = next(iter(DataLoader([{"a": np.float32(i), "b": (i, "s%d" % i), "c": [i, {"d": torch.ones(2) * i}]} for i in range(4)], batch_size=4)))
    print(batch["a"].dtype, batch["b"], batch["c"][1]["d"].shape)
    it = iter(DataLoader(range(3), batch_size=2, drop_last=True))
    print(next(it), next(it, "end"))
