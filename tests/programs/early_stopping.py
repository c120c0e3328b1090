"""Early stopping, the best checkpoint saved and loaded, argparse with device selection, logging, gradient accumulation."""

import argparse
import copy
import logging
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import nn, optim
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts


class EarlyStopping:
    def __init__(self, patience=7, verbose=False, delta=0, path="checkpoint.pt", trace_func=print):
        self.patience, self.verbose, self.counter, self.best_score, self.early_stop = patience, verbose, 0, None, False
        self.val_loss_min, self.delta, self.path, self.trace_func = float("inf"), delta, path, trace_func

    def __call__(self, val_loss, model):
        score = -val_loss
        if self.best_score is None or score >= self.best_score + self.delta:
            self.best_score = score
            self.save_checkpoint(val_loss, model)
            self.counter = 0
        else:
            self.counter += 1
            self.trace_func(f"EarlyStopping counter: {self.counter} out of {self.patience}")
            self.early_stop = self.counter >= self.patience

    def save_checkpoint(self, val_loss, model):
        if self.verbose:
            self.trace_func(f"Validation loss decreased ({self.val_loss_min:.4f} --> {val_loss:.4f}).  Saving model ...")
        torch.save(model.state_dict(), self.path)
        self.val_loss_min = val_loss


def main():
    parser = argparse.ArgumentParser(description="example")
    parser.add_argument("--batch-size", type=int, default=8, metavar="N")
    parser.add_argument("--lr", type=float, default=0.05)
    parser.add_argument("--no-cuda", action="store_true", default=False)
    parser.add_argument("--no-mps", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--accumulate", type=int, default=2)
    args = parser.parse_args()
    use_cuda = not args.no_cuda and torch.cuda.is_available()
    use_mps = not args.no_mps and torch.backends.mps.is_available()
    torch.manual_seed(args.seed)
    np.random.seed(args.seed)
    device = torch.device("cuda") if use_cuda else torch.device("mps") if use_mps else torch.device("cpu")
    kwargs = {"num_workers": 1, "pin_memory": True} if use_cuda else {}
    logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(message)s", level=logging.INFO)
    log = logging.getLogger("train")
    rng = np.random.default_rng(args.seed)
    X = torch.as_tensor(rng.standard_normal((40, 3)), dtype=torch.float32, device=device)
    y = X @ torch.tensor([[1.0], [-2.0], [0.5]]) + 0.3 * torch.as_tensor(rng.standard_normal((40, 1))).float()
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X[:16], y[:16]), batch_size=args.batch_size // args.accumulate, **kwargs)
    model = nn.Sequential(nn.Linear(3, 32), nn.Tanh(), nn.Linear(32, 1)).to(device)
    for i, p in enumerate(model.parameters()):
        p.data.copy_(torch.sin(torch.arange(p.numel()) * (1.1 + i)).view_as(p) * 0.5)
    start = copy.deepcopy(model.state_dict())
    optimizer = optim.SGD(model.parameters(), lr=args.lr, momentum=0.9)
    scheduler = CosineAnnealingWarmRestarts(optimizer, T_0=4, T_mult=2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "best.pt"
        stopping = EarlyStopping(patience=3, verbose=True, path=path, trace_func=log.info)
        for epoch in range(60):
            model.train()
            optimizer.zero_grad()
            for i, (xb, yb) in enumerate(loader):
                loss = nn.functional.huber_loss(model(xb), yb, delta=0.5) / args.accumulate
                loss.backward()
                if (i + 1) % args.accumulate == 0 or i + 1 == len(loader):
                    optimizer.step()
                    optimizer.zero_grad()
                    scheduler.step(epoch + i / len(loader))
            model.eval()
            with torch.no_grad():
                valid = nn.functional.l1_loss(model(X[16:]), y[16:]).item()
            stopping(valid, model)
            if stopping.early_stop:
                log.info("Early stopping at %d", epoch)
                break
        state = torch.load(path, map_location=device, weights_only=True)
        model.load_state_dict(state)
        checkpoint = {"epoch": epoch, "model": model.state_dict(), "optimizer": optimizer.state_dict(), "args": vars(args), "loss": valid}
        torch.save(checkpoint, os.path.join(folder, "last.tar"))
        again = torch.load(os.path.join(folder, "last.tar"), weights_only=True)
        optimizer.load_state_dict(again["optimizer"])
        print(sorted(again), again["args"]["lr"], again["epoch"] == epoch)
    with torch.no_grad():
        print(f"{nn.functional.l1_loss(model(X[16:]), y[16:]).item():.4f}", f"{stopping.val_loss_min:.4f}")
    print(any(not torch.equal(a, b) for a, b in zip(start.values(), model.state_dict().values())))


if __name__ == "__main__":
    main()
