"""Datasets and loaders: custom samplers, IterableDataset sharded over workers, weighted sampling, Subset, random_split fractions, default_collate of dicts and dataclasses, worker_init_fn, persistent workers, tqdm, logging."""

import collections
import logging
import random
import sys
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import (
    BatchSampler,
    ChainDataset,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    StackDataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    get_worker_info,
    random_split,
)

try:
    from tqdm import tqdm
except ImportError:
    tqdm = lambda x, **k: x

logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(levelname)s:%(message)s")
log = logging.getLogger(__name__)


class FaceLandmarks(Dataset):
    def __init__(self, n, transform=None):
        self.n, self.transform = n, transform

    def __len__(self):
        return self.n

    def __getitem__(self, idx):
        if torch.is_tensor(idx):
            idx = idx.tolist()
        sample = {
            "image": np.full((2, 3), idx, np.float32),
            "landmarks": torch.tensor([idx, -idx]),
            "name": f"img{idx}",
            "meta": (idx, float(idx)),
        }
        if self.transform:
            sample = self.transform(sample)
        return sample


class ToTensor:
    def __call__(self, sample):
        return {**sample, "image": torch.from_numpy(sample["image"].transpose((1, 0)).copy())}


ds = FaceLandmarks(7, transform=ToTensor())
for i_batch, b in enumerate(DataLoader(ds, batch_size=4, shuffle=False, num_workers=2, drop_last=False)):
    print(i_batch, b["image"].size(), b["landmarks"].tolist(), b["name"], b["meta"])


class Sharded(IterableDataset):
    def __init__(self, start, end):
        super().__init__()
        self.start, self.end = start, end

    def __iter__(self):
        info = get_worker_info()
        if info is None:
            lo, hi = self.start, self.end
        else:
            per = int(np.ceil((self.end - self.start) / float(info.num_workers)))
            lo = self.start + info.id * per
            hi = min(lo + per, self.end)
        return iter(range(lo, hi))


print(
    list(DataLoader(Sharded(3, 10), num_workers=0)), sorted(torch.cat(list(DataLoader(Sharded(3, 10), num_workers=2))).tolist())
)


def worker_init_fn(worker_id):
    info = torch.utils.data.get_worker_info()
    d = info.dataset
    per = (d.end - d.start) // info.num_workers
    d.start, d.end = d.start + worker_id * per, d.start + (worker_id + 1) * per
    random.seed(torch.initial_seed() % 2**32)


class Plain(IterableDataset):
    def __init__(self, start, end):
        self.start, self.end = start, end

    def __iter__(self):
        return iter(range(self.start, self.end))

    def __len__(self):
        return self.end - self.start


print(sorted(torch.cat(list(DataLoader(Plain(0, 8), num_workers=2, worker_init_fn=worker_init_fn, batch_size=2))).tolist()))
print(list(ChainDataset([Plain(0, 2), Plain(5, 7)])), len(ChainDataset([Plain(0, 2), Plain(5, 7)])))


class BucketSampler(Sampler):
    def __init__(self, lengths, bs):
        self.lengths, self.bs = lengths, bs

    def __iter__(self):
        order = np.argsort(self.lengths, kind="stable")
        for i in range(0, len(order), self.bs):
            yield order[i : i + self.bs].tolist()

    def __len__(self):
        return (len(self.lengths) + self.bs - 1) // self.bs


def collate(batch):
    xs, ys = zip(*batch)
    lens = torch.tensor([len(x) for x in xs])
    return torch.nn.utils.rnn.pad_sequence(xs, batch_first=True, padding_value=-1), lens, torch.stack(ys)


lengths = [5, 2, 4, 1, 3]
data = [(torch.arange(n), torch.tensor(n % 2)) for n in lengths]
for xs, lens, ys in DataLoader(data, batch_sampler=BucketSampler(lengths, 2), collate_fn=collate):
    print(xs.tolist(), lens.tolist(), ys.tolist())
full = TensorDataset(torch.arange(20).view(10, 2), torch.arange(10))
a, b = random_split(full, [0.8, 0.2], generator=torch.Generator().manual_seed(0))
print(len(a), len(b), sorted(a.indices + b.indices) == list(range(10)), isinstance(a, Subset))
w = WeightedRandomSampler(torch.tensor([0.0, 1.0, 0.0, 3.0]), 12, replacement=True)
print(
    len(w), set(w) <= {1, 3}, sorted(SubsetRandomSampler([2, 5, 7])), len(RandomSampler(full, replacement=True, num_samples=25))
)
print(
    list(BatchSampler(SequentialSampler(range(7)), 3, drop_last=True)),
    list(BatchSampler(SequentialSampler(range(7)), 3, False)),
)
cat = ConcatDataset([Subset(full, [0, 3]), full]) + TensorDataset(torch.zeros(1, 2), torch.tensor([99]))
print(len(cat), cat[1][1], cat[-1][1], cat[2][0])
st = StackDataset(x=torch.arange(4), y=list("abcd"))
print(st[2], next(iter(DataLoader(st, 2))))
Point = collections.namedtuple("Point", ["x", "y"])
c = default_collate([Point(1, torch.ones(2)), Point(2, torch.zeros(2))])
print(
    c,
    default_collate([True, False]),
    default_collate([1.5, 2.5]),
    default_collate([b"a"]),
    default_collate([None and 1 or 2, 3]),
)
try:
    default_collate([object()])
except TypeError as e:
    print("TypeError", str(e)[:60])
loader = DataLoader(
    full,
    3,
    sampler=SequentialSampler(full),
    pin_memory=False,
    num_workers=1,
    persistent_workers=True,
    prefetch_factor=2,
    timeout=30,
)
for ep in range(2):
    tot = 0
    for step, (x, y) in enumerate(tqdm(loader, disable=True, desc=f"Epoch {ep}", leave=False)):
        tot += x.sum().item() + y.sum().item()
    log.info("epoch %d total %d of %d batches", ep, tot, len(loader))
it = iter(DataLoader(full, 4))
print(next(it)[1], next(it)[1], next(it)[1], next(it, None))
for bad in (
    lambda: DataLoader(full, 0),
    lambda: DataLoader(full, 2, shuffle=True, sampler=SequentialSampler(full)),
    lambda: DataLoader(full, num_workers=-1),
    lambda: DataLoader(Plain(0, 2), shuffle=True),
    lambda: DataLoader(full, prefetch_factor=2),
):
    try:
        bad()
    except (ValueError, RuntimeError) as e:
        print(type(e).__name__)


class Broken(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, i):
        if i == 3:
            raise KeyError("no item three")
        return i


for workers in (0, 1):
    try:
        for x in DataLoader(Broken(), num_workers=workers):
            print(x)
    except KeyError as e:
        print("KeyError", "no item three" in str(e))


@dataclass
class Batch:
    x: torch.Tensor

    def pin_memory(self):
        return self


g = torch.Generator()
g.manual_seed(0)
o1 = [i for b in DataLoader(range(10), 5, shuffle=True, generator=g) for i in b.tolist()]
g.manual_seed(0)
o2 = [i for b in DataLoader(range(10), 5, shuffle=True, generator=g) for i in b.tolist()]
print(o1 == o2, sorted(o1) == list(range(10)))
