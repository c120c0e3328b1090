"""`save`, `load`, safetensors and .npz: what comes back, what PyTorch reads and writes, and what hostile files do (nothing).

Owns the proof of core/wengert/serialization.py, pickled.py, npz.py and utils/safetensors.py. May import: pytest, NumPy, pickle (to
make files that must be refused), the safetensors package where it is installed.
"""

from __future__ import annotations

import argparse
import collections
import datetime
import io
import json
import os
import pickle
import random
import signal
import struct
import subprocess
import sys
import textwrap
import time
import types
import warnings
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import pytest

import wengert as w
from wengert import nn
from wengert.pickled import STORAGES
from wengert.utils import safetensors

DTYPES = list(w.dtypes.ALL)
PLAIN: dict[str, Any] = {
    "none": None, "enormous": [2**2100, -(2**2100)], "numbers": [0, -1, 255, 256, 65536, 2**31, -(2**31) - 1, 2**70, 1.5, float("inf"), -0.0, 3j],
    "bools": (True, False), "strings": ["", "a", "ü", "日本", "\U0001f600", "a\nb", "\ud800"], "bytes": [b"", b"\x00\xff\n"],
    "nested": {"a": [1, (2, {"b": ()})], 3: {}, None: [], (1, "x"): 2, 1.5: True}, "ordered": OrderedDict(b=1, a=OrderedDict()),
    "counter": collections.Counter("aab"), "sets": [{1, "a"}, set()], "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
}  # fmt: skip


def saved(obj: Any, **options: Any) -> io.BytesIO:
    file = io.BytesIO()
    w.save(obj, file, **options)
    file.seek(0)
    return file


def trip(obj: Any, **options: Any) -> Any:
    return w.load(saved(obj), **options)


def values(dtype: str) -> Any:
    x = w.tensor([[0, 1, 1], [1, 0, 1]]) if dtype == "bool" else w.arange(6).reshape(2, 3)
    return x.to(getattr(w, dtype))


# ---- what comes back
@pytest.mark.parametrize("name", PLAIN)
def test_plain_values(name: str) -> None:
    back = trip(PLAIN[name])
    assert repr(back) == repr(PLAIN[name]) and type(back) is type(PLAIN[name])


@pytest.mark.parametrize("dtype", DTYPES)
def test_tensors_of_all_dtypes(dtype: str) -> None:
    x = values(dtype)
    back = trip({"x": x})["x"]
    assert back.dtype is x.dtype and back.shape == x.shape and back.tolist() == x.tolist()
    assert not back.requires_grad and back.is_leaf
    if dtype != "bool":
        back.add_(1)  # the memory may be written
        assert back.tolist() != x.tolist()


def test_shapes_strides_and_sharing() -> None:
    x = w.arange(24.0).reshape(2, 3, 4)
    obj = {"x": x, "t": x.transpose(0, 2), "row": x[1, 2], "step": x[:, ::2, 1:3], "same": x, "scalar": w.tensor(3.5), "none": w.zeros(0, 3),
           "wide": w.ones(1, 3).expand(1000, 3), "flip": w.from_numpy(np.arange(4.0)[::-1].copy()), "detached": x.detach()}  # fmt: skip
    back = trip(obj)
    for name, value in obj.items():
        assert back[name].shape == value.shape and back[name].tolist() == value.tolist(), name
        assert name in ("none", "scalar") or back[name].stride() == value.stride(), name
    assert back["same"] is back["x"] and back["detached"] is not back["x"]
    version = back["row"]._version
    back["x"][1, 2, 3] = -5
    assert back["row"][3] == -5 and back["t"][3, 2, 1] == -5 and back["detached"][1, 2, 3] == -5
    assert back["row"]._version == version + 1  # one counter for one memory: autograd sees writes through the others


def test_only_the_needed_part_of_memory_is_written() -> None:
    big = w.zeros(100_000)
    assert len(saved(big[10:20]).getvalue()) < 2000
    parts = trip([big[10:20], big[15:25]])
    parts[0][7] = 1
    assert parts[1][2] == 1


def test_what_memory_cannot_say_is_copied() -> None:
    array = np.arange(12.0).reshape(3, 4)
    for odd in (array[::-1], array[:, ::-2], np.asfortranarray(array)[1:]):
        assert trip(w.as_tensor(odd) if odd.strides[0] > 0 and odd.strides[1] > 0 else w.as_tensor(odd.copy())).tolist() == odd.tolist()
    pair = np.zeros(3, [("a", np.int8), ("b", np.float64)])
    pair["b"] = [1, 2, 3]
    assert trip(w.from_numpy(pair["b"])).tolist() == [1, 2, 3]  # strides that are no number of elements


def test_parameters_modules_and_optimizers() -> None:
    w.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    optimizer = w.optim.Adam(model.parameters(), lr=0.1)
    x = w.rand(5, 3)

    def step() -> float:
        loss = model(x).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return float(loss)

    step()
    checkpoint = trip({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "p": model[0].weight, "loss": np.float64(0.25)})
    ahead = [step(), step()]
    model.load_state_dict(checkpoint["model"])
    optimizer.load_state_dict(checkpoint["optimizer"])
    assert [step(), step()] == ahead
    assert checkpoint["model"]._metadata == model.state_dict()._metadata and type(checkpoint["loss"]) is float
    p = checkpoint["p"]
    assert type(p) is nn.Parameter and p.requires_grad
    grads = trip([w.ones(1, requires_grad=True), nn.Parameter(w.ones(2), requires_grad=False), (w.ones(1, requires_grad=True) * 2)])
    assert [g.requires_grad for g in grads] == [True, False, True] and all(g.is_leaf for g in grads)


def test_words_of_the_library() -> None:
    x = w.zeros(2, 3)
    back = trip({"shape": x.shape, "dtype": w.bfloat16, "device": x.device, "rng": w.get_rng_state()})
    assert back["shape"] == x.shape and type(back["shape"]) is w.Size and back["dtype"] is w.bfloat16
    assert back["device"] == x.device and back["rng"].equal(w.get_rng_state())


@dataclass
class Config:
    width: int
    rate: float = 0.1


class Plain:
    pass


@dataclass
class Closing(Config):
    def __del__(self) -> None:
        """Run code when it goes: what a file may not bring."""


def test_settings_are_saved_and_read_where_that_is_asked_for() -> None:
    settings = {"a": Config(2), "b": argparse.Namespace(lr=0.1, sizes=[1, 2]), "c": types.SimpleNamespace(depth=3, more=Config(1))}
    file = saved(settings)
    assert w.load(file, weights_only=False) == settings
    with pytest.raises(pickle.UnpicklingError, match="weights_only=False it is"):
        w.load(file)
    with pytest.raises(TypeError, match="Closing"):
        saved({"a": Closing(2)})


def test_classes_are_refused_unless_vouched_for() -> None:
    with pytest.raises(TypeError, match=r"obj\['a'\]\[1\] is a .*Plain.*add_safe_globals\(\[Plain\]\)"):
        saved({"a": [1, Plain()]})
    with w.serialization.safe_globals([Config]):
        file = saved({"a": [1, Config(2)]})
        assert w.load(file) == {"a": [1, Config(2)]} and w.serialization.get_safe_globals() == [Config]
    with pytest.raises(pickle.UnpicklingError, match="Config"):
        w.load(file)
    with pytest.raises(TypeError, match=r"state_dict\(\)"):
        saved(w.optim.SGD([w.ones(1, requires_grad=True)], 0.1))
    for bad in (lambda: 0, Plain(), object, collections.defaultdict(lambda: 0), np.array([object()]), np.zeros(1, "i4,f4")):
        with pytest.raises(TypeError, match="save: obj is a"):
            saved(bad)


class Own(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
        self.tied = self.layers[0]
        self.act, self.kind, self.plain = nn.functional.gelu, nn.LayerNorm, {"a": (1, None)}


def test_modules_are_read_where_that_is_asked_for() -> None:
    model = Own()
    file = saved({"model": model, "epoch": 3})
    with pytest.raises(pickle.UnpicklingError, match="weights_only=False"):
        w.load(file)
    back = w.load(file, weights_only=False)["model"]
    assert type(back) is Own and back.tied is back.layers[0] and back.tied is not model.tied and back.training
    assert back.act is nn.functional.gelu and back.kind is nn.LayerNorm and back.plain == {"a": (1, None)}
    assert list(back.state_dict()) == list(model.state_dict())
    assert all(a.equal(b) and a.requires_grad == b.requires_grad for a, b in zip(model.parameters(), back.parameters()))
    model.layers.register_forward_hook(lambda *args: None)
    with pytest.raises(TypeError, match="_forward_hooks"):
        saved(model)


@pytest.mark.filterwarnings("ignore:.nn.utils.weight_norm:FutureWarning")
def test_modules_with_made_weights_are_saved_whole() -> None:
    from wengert.nn.utils import prune, spectral_norm, weight_norm

    makes = [weight_norm, spectral_norm, lambda layer: prune.l1_unstructured(layer, "weight", 2)]
    for make in makes:
        model, x = make(nn.Linear(3, 2)).eval(), w.ones(1, 3)
        back = w.load(saved(model), weights_only=False)
        assert list(back.state_dict()) == list(model.state_dict()) and back(x).equal(model(x))
        with w.no_grad():
            next(p for name, p in back.named_parameters() if name != "bias").mul_(0)
        assert not back(x).equal(model(x)), "the hook came along"


@pytest.mark.parity
def test_modules_that_pytorch_saved_whole() -> None:
    import torch

    block = torch.nn.TransformerEncoderLayer(4, 2, 8, 0.0, torch.nn.functional.gelu, batch_first=True)
    theirs = torch.nn.Sequential(torch.nn.Conv1d(3, 4, 3, padding=1), torch.nn.BatchNorm1d(4), block, torch.nn.Flatten()).eval()
    file = io.BytesIO()
    torch.save({"model": theirs}, file)
    with pytest.raises(pickle.UnpicklingError, match="weights_only=False"):
        w.load(io.BytesIO(file.getvalue()))
    ours = w.load(io.BytesIO(file.getvalue()), weights_only=False)["model"]
    assert type(ours) is nn.Sequential and not ours.training and ours[2].activation is nn.functional.gelu
    x = torch.linspace(-1, 1, 24).reshape(2, 3, 4)
    assert np.allclose(ours(w.tensor(x.numpy())).detach().numpy(), theirs(x).detach().numpy(), atol=1e-5)


@pytest.mark.parametrize("name", ["os system", "wengert save", "builtins eval", "test_serialization Plain", "wengert.nn __name__",
                                  "wengert.nn.functional __name__", "nowhere at.all", "wengert_nn.modules.module Nothing",
                                  "test_serialization Closing"])  # fmt: skip
def test_other_names_are_not_read_with_modules(name: str) -> None:
    module, _, attribute = name.partition(" ")
    with pytest.raises(pickle.UnpicklingError, match="the file names"):
        w.load(with_pickle(f"\x80\x02c{module}\n{attribute}\n.".encode("latin1")), weights_only=False)
    with pytest.raises(pickle.UnpicklingError):  # functions are values, and nothing calls them
        w.load(with_pickle(b"\x80\x02cwengert.nn.functional\nrelu\nK\x01\x85R."), weights_only=False)


def test_tensors_as_keys() -> None:
    p, t = nn.Parameter(w.ones(2)), w.zeros(2)
    found = trip({"state": {p: {"step": 1}, t: 2}, "params": [p, t]})
    (q, u), state = found["params"], found["state"]
    assert state[q] == {"step": 1} and state[u] == 2 and q.tolist() == [1.0, 1.0] and list(state) == [q, u]


def test_cycles_and_depth_are_refused() -> None:
    loop: list[Any] = [1]
    loop.append({"again": (loop,)})
    with pytest.raises(ValueError, match="contains itself"):
        saved(loop)
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(ValueError, match="deep"):
        saved(deep)
    twice = [1]
    back = trip([twice, twice])
    assert back == [[1], [1]] and back[0] is back[1]


# ---- places
def test_paths_and_file_objects(tmp_path: Path) -> None:
    for path in (tmp_path / "a.pt", str(tmp_path / "b.pth"), os.fsencode(tmp_path / "c")):
        w.save({"x": w.ones(2)}, path)
        assert w.load(path)["x"].tolist() == [1, 1]
    with open(tmp_path / "d", "wb") as file:
        w.save([1], file)
    with open(tmp_path / "d", "rb") as file:
        assert w.load(file, weights_only=True, mmap=True) == [1]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.pt", "b.pth", "c", "d"]

    class Once:  # a stream that cannot go back
        def __init__(self, data: bytes) -> None:
            self.read = io.BytesIO(data).read

    assert w.load(Once(saved([2]).getvalue())) == [2]
    with pytest.raises(FileNotFoundError):
        w.load(tmp_path / "none")
    with pytest.raises(ValueError, match="zip"):
        w.save([1], tmp_path / "e", _use_new_zipfile_serialization=False)


def test_a_failed_save_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    w.save([1], path)
    os.chmod(path, 0o640)
    with pytest.raises(TypeError):
        w.save([w.ones(3), object()], path)
    assert w.load(path) == [1] and [p.name for p in tmp_path.iterdir()] == ["a.pt"]
    (tmp_path / "link").symlink_to(path)
    w.save([2], tmp_path / "link")
    assert w.load(path) == [2] and (tmp_path / "link").is_symlink() and path.stat().st_mode & 0o777 == 0o640
    with pytest.raises(OSError), __import__("wengert").serialization.atomic(path) as file:
        file.write(b"half")
        raise OSError("disk full")
    assert w.load(path) == [2] and len([*tmp_path.iterdir()]) == 2


@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".npz"])
def test_kill_never_leaves_a_broken_file(tmp_path: Path, suffix: str) -> None:
    program = """
    import sys, wengert
    i = 0
    while True:
        i += 1
        wengert.save({"i": wengert.tensor(i), "x": wengert.full((300_000,), float(i))}, sys.argv[1])
    """
    path = tmp_path / f"a{suffix}"
    seen = set()
    for delay in (0.05, 0.11, 0.17, 0.23) if suffix == ".pt" else (0.08, 0.15):
        process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program), str(path)])
        deadline = time.monotonic() + 60
        before = path.stat().st_mtime_ns if path.exists() else 0
        while (not path.exists() or path.stat().st_mtime_ns == before) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        back = w.load(path)
        assert (back["x"] == back["i"]).all()
        seen.add(int(back["i"]))
    assert seen


def test_map_location(monkeypatch: pytest.MonkeyPatch) -> None:
    x = w.ones(2)
    for where in ("cpu", w.device("cpu"), {"cpu": "cpu"}, {"cuda:0": "cpu"}, lambda storage, place: storage, lambda storage, place: storage.cpu(),
                  lambda storage, place: None):  # fmt: skip
        assert trip(x, map_location=where).device.type == "cpu"
    told = []
    trip([x, x.double()], map_location=lambda storage, place: told.append((storage.nbytes(), place)))
    assert told == [(8, "cpu"), (16, "cpu")]
    elsewhere = edited(saved(x), lambda program: program.replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:7"))
    if not w.cuda.is_available():
        with pytest.raises(RuntimeError, match="cuda:7.*map_location='cpu'"):
            w.load(elsewhere)
    assert w.load(elsewhere, map_location="cpu").tolist() == [1, 1]
    assert w.load(elsewhere, map_location={"cuda:7": "cpu"}).tolist() == [1, 1]


def test_big_files_are_aligned() -> None:
    file = saved({"a": w.ones(3), "b": w.ones(5, dtype=w.float64)})
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            if "/data/" in info.filename:
                file.seek(info.header_offset)
                head = file.read(30)
                start = info.header_offset + 30 + sum(struct.unpack("<HH", head[26:30]))
                assert start % 64 == 0


# ---- PyTorch
def torch_values(torch: Any, dtype: str) -> Any:
    x = torch.tensor([[0, 1, 1], [1, 0, 1]]) if dtype == "bool" else torch.arange(6).reshape(2, 3)
    return x.to(getattr(torch, dtype))


@pytest.mark.parity
@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes_to_and_from_pytorch(dtype: str) -> None:
    import torch

    theirs = torch.load(saved({"x": values(dtype), "t": values(dtype).t()}), weights_only=True)
    assert theirs["x"].dtype == getattr(torch, dtype) and theirs["x"].equal(torch_values(torch, dtype)) and theirs["t"].stride() == (1, 3)
    file = io.BytesIO()
    x = torch_values(torch, dtype)
    torch.save({"x": x, "t": x.t(), "p": x[1:, ::2]}, file)
    file.seek(0)
    ours = w.load(file)
    assert ours["x"].tolist() == values(dtype).tolist() and ours["x"].dtype is getattr(w, dtype)
    assert ours["t"].stride() == (1, 3) and ours["p"].tolist() == x[1:, ::2].tolist()


@pytest.mark.parity
@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_values_to_and_from_pytorch(name: str, protocol: int) -> None:
    import torch

    if name not in ("strings", "enormous"):  # PyTorch reads no lone surrogates, and no numbers of more than 255 bytes
        assert repr(torch.load(saved(PLAIN[name]), weights_only=True)) == repr(PLAIN[name])
    file = io.BytesIO()
    torch.save(PLAIN[name], file, pickle_protocol=protocol)
    file.seek(0)
    assert repr(w.load(file)) == repr(PLAIN[name])


@pytest.mark.parity
def test_checkpoints_to_and_from_pytorch(tmp_path: Path) -> None:
    import torch

    def make(t: Any) -> Any:
        model = t.nn.Sequential(t.nn.Linear(3, 4), t.nn.BatchNorm1d(4), t.nn.Linear(4, 2))
        with t.no_grad():
            for i, p in enumerate(model.parameters()):
                p.copy_(t.sin(t.arange(p.numel()) + i).reshape(p.shape))
        return model, t.optim.Adam(model.parameters(), lr=0.05, amsgrad=True)

    def step(t: Any, model: Any, optimizer: Any) -> float:
        loss = model(t.linspace(0, 1, 12).reshape(4, 3)).pow(2).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    for writer, reader in ((w, torch), (torch, w)):
        model, optimizer = make(writer)
        losses = [step(writer, model, optimizer) for _ in range(3)]
        writer.save({"m": model.state_dict(), "o": optimizer.state_dict(), "p": writer.nn.Parameter(writer.ones(2))}, tmp_path / "c.pt")
        losses += [step(writer, model, optimizer) for _ in range(2)]
        checkpoint = reader.load(tmp_path / "c.pt", weights_only=True)
        model, optimizer = make(reader)
        model.load_state_dict(checkpoint["m"])
        optimizer.load_state_dict(checkpoint["o"])
        np.testing.assert_allclose([step(reader, model, optimizer) for _ in range(2)], losses[3:], rtol=1e-5)
        assert type(checkpoint["p"]) is reader.nn.Parameter
        assert checkpoint["m"]._metadata[""]["version"] == 1


@pytest.mark.parity
def test_sharing_to_and_from_pytorch() -> None:
    import torch

    for writer, reader in ((w, torch), (torch, w)):
        file = io.BytesIO()
        x = writer.arange(6.0)
        writer.save([x[1:3], x[2:5]], file)
        file.seek(0)
        a, b = reader.load(file)
        a[1] = 50
        assert b.tolist() == [50, 3, 4]
    buffer = io.BytesIO()
    torch.save(torch.ones(1), buffer, _use_new_zipfile_serialization=False)
    with pytest.raises(RuntimeError, match="before version 1.6"):
        w.load(io.BytesIO(buffer.getvalue()))
    for odd in (torch.nn.Linear(1, 1), slice(1)):
        buffer = io.BytesIO()
        torch.save({"x": odd}, buffer)
        with pytest.raises(pickle.UnpicklingError, match="the file names"):
            w.load(io.BytesIO(buffer.getvalue()))


# ---- hostile files
def edited(file: io.BytesIO, change: Any, entries: dict[str, bytes] | None = None, compress: int = zipfile.ZIP_STORED) -> io.BytesIO:
    """Return a file with another pickle, or other entries, whose checksums are right."""
    made = io.BytesIO()
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(made, "w", compress) as new:
        for name in old.namelist():
            content = old.read(name)
            content = change(content) if name.endswith("data.pkl") else (entries or {}).get(name, content)
            if content is not None:
                new.writestr(name, content)
    made.seek(0)
    return made


def with_pickle(program: bytes) -> io.BytesIO:
    return edited(saved(w.ones(4)), lambda old: program)


class Runs:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def test_nothing_is_run(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    for protocol in range(6):
        for function, arguments in ((os.system, (f"touch {mark}",)), (eval, (f"open({str(mark)!r}, 'w')",)), (exec, ("1",)), (open, (str(mark), "w")),
                                    (getattr, ("a", "upper")), (__import__, ("this",)), (w.save, ([], str(mark)))):  # fmt: skip
            with pytest.raises(pickle.UnpicklingError):
                w.load(with_pickle(pickle.dumps({"a": Runs(function, *arguments)}, protocol)))
            with pytest.raises(pickle.UnpicklingError):
                w.load(with_pickle(pickle.dumps({"a": Runs(function, *arguments)}, protocol)), weights_only=False)
    assert not mark.exists()


T = b"ctorch._utils\n_rebuild_tensor_v2\n"
STORE = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQ"


def tensor_program(offset: bytes = b"K\x00", shape: bytes = b"K\x04\x85", strides: bytes = b"K\x01\x85", store: bytes = STORE) -> bytes:
    return b"\x80\x02" + T + b"(" + store + offset + shape + strides + b"\x89ccollections\nOrderedDict\n)RtR."


def test_the_hand_made_tensor_is_fine() -> None:
    assert w.load(with_pickle(tensor_program())).tolist() == [1, 1, 1, 1]
    assert w.load(with_pickle(tensor_program(shape=b"K\x00\x85"))).shape == (0,)


MILLION = b"J" + struct.pack("<i", 10**6)
HUGE = b"\x8a\x08" + struct.pack("<q", 2**62)
BAD_PICKLES = {
    "shape too long": tensor_program(shape=b"K\x05\x85"),
    "offset too far": tensor_program(offset=b"K\x01"),
    "stride too far": tensor_program(strides=b"K\x02\x85"),
    "negative offset": tensor_program(offset=b"J\xff\xff\xff\xff"),
    "negative stride": tensor_program(strides=b"J\xff\xff\xff\xff\x85"),
    "negative size": tensor_program(shape=b"J\xff\xff\xff\xff\x85"),
    "huge size": tensor_program(shape=MILLION + MILLION + b"\x86", strides=b"K\x01K\x01\x86"),
    "huge expanded": tensor_program(shape=HUGE + HUGE + b"\x86", strides=b"K\x00K\x00\x86"),
    "huge stride": tensor_program(shape=b"K\x02\x85", strides=HUGE + b"\x85"),
    "huge empty": tensor_program(shape=HUGE + b"K\x00" + HUGE + b"\x87", strides=b"K\x01K\x01K\x01\x87"),
    "sizes and strides": tensor_program(shape=b"K\x02K\x02\x86"),
    "float size": tensor_program(shape=b"G" + bytes(8) + b"\x85"),
    "bool size": tensor_program(shape=b"\x88\x85"),
    "no storage": tensor_program(store=b"N"),
    "storage count": tensor_program(store=STORE.replace(b"K\x04", b"K\x05")),
    "storage count huge": tensor_program(store=STORE.replace(b"K\x04", HUGE)),
    "storage type": tensor_program(store=STORE.replace(b"Float", b"Double")),
    "storage missing": tensor_program(store=STORE.replace(b"\x000X", b"\x009X")),
    "storage path": tensor_program(store=STORE.replace(b"X\x01\x00\x00\x000X", b"X\x0b\x00\x00\x00/etc/passwdX")),
    "hooks": b"\x80\x02" + T + b"(" + STORE + b"K\x00K\x04\x85K\x01\x85\x89}K\x01K\x01stR.",
    "function for storage": b"\x80\x02(X\x07\x00\x00\x00storagecbuiltins\nlist\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQ.",
    "list in itself": b"\x80\x02]q\x00h\x00a.",
    "dict in itself": b"\x80\x02}q\x00K\x01h\x00s.",
    "tuple in itself": b"\x80\x02]q\x00h\x00\x85a.",
    "ordered dict in itself": b"\x80\x02ccollections\nOrderedDict\n)Rq\x00K\x01h\x00s.",
    "deep": b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
    "deep tuples as key": b"\x80\x02}" + b")" + b"\x85" * 100_000 + b"Ns.",
    "doubling tuples as key": b"\x80\x02}(K\x01" + b"".join(b"\x85q%ch%ch%c\x86" % (i, i, i) for i in range(60)) + b"Nu.",
    "list as key": b"\x80\x02}]Ns.",
    "set of lists": b"\x80\x02c__builtin__\nset\n](]e\x85R.",
    "ends early": b"\x80\x02]",
    "no end": b"\x80\x02]q\x00",
    "empty": b"",
    "nothing": b"\x80\x02.",
    "stack underflow": b"\x80\x02a.",
    "no mark": b"\x80\x02]e.",
    "pop below mark": b"\x80\x02K\x01(0K\x02.",
    "unknown protocol": b"\x80\x63N.",
    "memo missing": b"\x80\x02h\x07.",
    "long text": b"\x80\x02X\xff\xff\xff\xffabc.",
    "longer text": b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7fabc.",
    "negative long": b"\x80\x02\x8b\xff\xff\xff\xff.",
    "bad text": b"\x80\x02X\x01\x00\x00\x00\xff.",
    "reduce a value": b"\x80\x02K\x01)R.",
    "build on a dict": b"\x80\x02}}b.",
    "build methods": b"\x80\x02ccollections\nOrderedDict\n)R}X\x04\x00\x00\x00keysK\x01sb.",
    "newobj": b"\x80\x02cbuiltins\nobject\n)\x81.",
    "ext": b"\x80\x02\x82\x01.",
    "inst": b"(ios\nsystem\n.",
    "obj": b"(cos\nsystem\no.",
    "text opcodes": b"I1\n.",
    "persid text": b"Pabc\n.",
    "buffers": b"\x80\x05\x97.",
    "encode": b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x04\x00\x00\x00zlib\x86R.",
    "bytearray of a number": b"\x80\x02cbuiltins\nbytearray\n" + HUGE + b"\x85R.",
    "counter of text": b"\x80\x02ccollections\nCounter\n}K\x01NsR.",
    "dotted name": b"\x80\x04\x8c\x05torch\x8c\x0fos.system.x.y.z\x93.",
    "dunder": b"\x80\x04\x8c\x05torch\x8c\x09__class__\x93.",
    "dtype called": b"\x80\x02ctorch\nfloat32\n)R.",
    "wrong arguments": b"\x80\x02ctorch\nSize\n)R.",
    "device": b"\x80\x02ctorch\ndevice\nN\x85R.",
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_PICKLES)
def test_bad_pickles_are_refused(name: str) -> None:
    started = time.monotonic()
    with pytest.raises(pickle.UnpicklingError, match="load: "):
        w.load(with_pickle(BAD_PICKLES[name]))
    assert time.monotonic() - started < 5


def test_bad_zips_are_refused() -> None:
    good = saved(w.ones(4))
    for data, words in (
        (b"", "zip"), (b"PK", "zip"), (b"hello world" * 10, "zip"), (good.getvalue()[:-30], "zip"), (good.getvalue()[:200], "zip"),
        (b"\x80\x02}.", "1.6"),
    ):  # fmt: skip
        with pytest.raises(RuntimeError, match=words):
            w.load(io.BytesIO(data))
    with pytest.raises(RuntimeError, match="compressed"):
        w.load(edited(good, lambda p: p, compress=zipfile.ZIP_DEFLATED))
    for size in (0, 15, 17):
        with pytest.raises(pickle.UnpicklingError, match="bytes"):
            w.load(edited(good, lambda p: p, {"archive/data/0": bytes(size)}))
    with pytest.raises(RuntimeError, match="byte order"):
        w.load(edited(good, lambda p: p, {"archive/byteorder": b"middle"}))
    with pytest.raises(RuntimeError, match="data.pkl"):
        w.load(edited(good, lambda p: None))
    script = io.BytesIO()
    with zipfile.ZipFile(script, "w") as archive:
        archive.writestr("m/data.pkl", b"\x80\x02N.")
        archive.writestr("m/constants.pkl", b"\x80\x02).")
    with pytest.raises(RuntimeError, match="TorchScript"):
        w.load(script)
    flipped = bytearray(good.getvalue())
    flipped[flipped.rindex(np.ones(4, np.float32).tobytes())] ^= 1
    with pytest.raises(RuntimeError, match="zip"):
        w.load(io.BytesIO(flipped))


def test_overlapping_entries_are_refused() -> None:
    """A zip whose entries all point to the same bytes says to hold more than the file does."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a/data.pkl", b"\x80\x02N.")
        archive.writestr("a/data/0", bytes(10_000))
        big = archive.filelist[1]
        for i in range(1, 200):
            twin = zipfile.ZipInfo(f"a/data/{i}")
            twin.header_offset, twin.file_size, twin.compress_size, twin.CRC = big.header_offset, 10_000, 10_000, big.CRC
            archive.filelist.append(twin)
        archive._didModify = True  # type: ignore[attr-defined]
    with pytest.raises(RuntimeError, match="overlap"):
        w.load(file)


def test_other_byte_orders() -> None:
    x = {d: values(d) for d in STORAGES}
    file = saved(x)

    def turned(kind: str, data: bytes) -> bytes:
        width = w.dtypes.ALL[kind].itemsize // (2 if kind.startswith("complex") else 1)
        return np.frombuffer(data, f"u{width}").byteswap().tobytes()

    with zipfile.ZipFile(file) as archive:
        entries = {f"archive/data/{i}": turned(kind, archive.read(f"archive/data/{i}")) for i, kind in enumerate(x)}
    other = b"big" if sys.byteorder == "little" else b"little"
    back = w.load(edited(file, lambda p: p, {**entries, "archive/byteorder": other}))
    assert all(back[d].tolist() == x[d].tolist() for d in x)


def test_bytes_that_are_no_bools() -> None:
    back = w.load(edited(saved(w.tensor([True, False, True])), lambda p: p, {"archive/data/0": b"\x02\x00\xff"}))
    assert back.tolist() == [True, False, True] and back.numpy().view(np.uint8).tolist() == [1, 0, 1]


def test_fuzzed_files_do_no_harm() -> None:
    """Changed files load or are refused, quickly, in little memory, whatever was changed."""
    rng = random.Random(0)
    obj = {"x": w.ones(3, 4), "s": OrderedDict(a=w.zeros(2).bfloat16()), "n": [1, 2.5, "text", (None, True)], "u": w.ones(2, dtype=w.uint16)}
    whole = saved(obj).getvalue()
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        program = archive.read("archive/data.pkl")
    import tracemalloc

    tracemalloc.start()
    outcomes = collections.Counter[str]()
    for i in range(1500):
        data = bytearray(program if i % 3 else whole)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(data))
            how = rng.randrange(4)
            if how == 0:
                data[at] = rng.randrange(256)
            elif how == 1:
                del data[at : at + rng.randint(1, 20)]
            elif how == 2:
                data[at:at] = bytes(rng.randrange(256) for _ in range(rng.randint(1, 4)))
            else:
                part = data[at : at + rng.randint(1, 40)]
                place = rng.randrange(len(data) + 1)
                data[place:place] = part
        try:
            w.load(io.BytesIO(whole) if not data else edited(io.BytesIO(whole), lambda old, d=data: bytes(d)) if i % 3 else io.BytesIO(data))
            outcomes["loaded"] += 1
        except (pickle.UnpicklingError, RuntimeError) as error:
            assert str(error)
            outcomes[type(error).__name__] += 1
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()
    assert outcomes["UnpicklingError"] > 300 and outcomes["RuntimeError"] > 100 and outcomes["loaded"] > 20


# ---- safetensors
def st(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def test_safetensors_round_trip(tmp_path: Path) -> None:
    tensors = {name: values(name) for name in safetensors.TYPES} | {"scalar": w.tensor(2.5), "empty": w.zeros(0, 3), "t": values("float32").t(), "ü": w.ones(1)}
    safetensors.save_file(tensors, tmp_path / "a.safetensors", metadata={"format": "pt"})
    back = safetensors.load_file(tmp_path / "a.safetensors")
    assert back.keys() == tensors.keys() and safetensors.metadata(tmp_path / "a.safetensors") == {"format": "pt"}
    for name, x in tensors.items():
        assert back[name].tolist() == x.tolist() and back[name].dtype is x.dtype and back[name].shape == x.shape
    assert {k: v.tolist() for k, v in safetensors.load(safetensors.save(tensors)).items()} == {k: v.tolist() for k, v in tensors.items()}
    assert safetensors.load(safetensors.save({})) == {} and [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]
    back["scalar"].add_(1)


def test_safetensors_by_the_formats_words() -> None:
    data = struct.pack("<2f", 1.5, -2) + struct.pack("<h", -3)
    file = st({"a": {"dtype": "F32", "shape": [2, 1], "data_offsets": [0, 8]}, "b": {"dtype": "I16", "shape": [], "data_offsets": [8, 10]}}, data)
    back = safetensors.load(file)
    assert back["a"].tolist() == [[1.5], [-2.0]] and back["b"].item() == -3
    written = safetensors.save({"b": w.tensor(-3, dtype=w.int16), "a": w.tensor([[1.5], [-2.0]])})
    length = int.from_bytes(written[:8], "little")
    assert length % 8 == 0 and json.loads(written[8 : 8 + length]) == json.loads(file[8 : 8 + int.from_bytes(file[:8], "little")])
    assert written[8 + length :] == data


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
BAD_SAFETENSORS = {
    "empty": b"", "short": b"\x01\x02", "header too long": st({}, length=2**63), "header beyond": st({}, length=100), "no json": st(b"{nope"),
    "no object": st([1]), "deep json": st(b"[" * 100_000), "bad text": st(b'{"\xff": 1}'), "no data": st({"a": ENTRY}), "more data": st({"a": ENTRY}, bytes(9)),
    "less data": st({"a": ENTRY}, bytes(7)), "hole": st({"a": ENTRY | {"data_offsets": [1, 9]}}, bytes(9)),
    "overlap": st({"a": ENTRY, "b": ENTRY}, bytes(8)), "backwards": st({"a": ENTRY | {"data_offsets": [8, 0]}}, bytes(8)),
    "negative": st({"a": ENTRY | {"shape": [-2]}}, bytes(8)), "negative offset": st({"a": ENTRY | {"data_offsets": [-8, 0]}}, bytes(8)),
    "wrong size": st({"a": ENTRY | {"shape": [3]}}, bytes(8)), "huge": st({"a": ENTRY | {"shape": [2**40, 2**40]}}, bytes(8)),
    "huge empty": st({"a": ENTRY | {"shape": [2**40, 2**40, 0], "data_offsets": [0, 0]}}), "float shape": st({"a": ENTRY | {"shape": [2.0]}}, bytes(8)),
    "bool shape": st({"a": ENTRY | {"shape": [True, 2]}}, bytes(8)), "unknown dtype": st({"a": ENTRY | {"dtype": "F8"}}, bytes(8)),
    "dtype number": st({"a": ENTRY | {"dtype": [1]}}, bytes(8)), "missing": st({"a": {"dtype": "F32"}}, bytes(8)), "extra": st({"a": ENTRY | {"x": 1}}, bytes(8)),
    "entry a list": st({"a": [1]}), "metadata": st({"__metadata__": {"a": 1}}), "metadata list": st({"__metadata__": []}),
    "twice": st(b'{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}'),
    "many dims": st({"a": ENTRY | {"shape": [1] * 65 + [2]}}, bytes(8)), "pickle": pickle.dumps(Runs(os.system, "true")),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_SAFETENSORS)
def test_bad_safetensors_are_refused(name: str) -> None:
    with pytest.raises(safetensors.SafetensorError, match="safetensors: "):
        safetensors.load(BAD_SAFETENSORS[name])


def test_safetensors_refuse_what_the_format_has_not() -> None:
    for bad, words in (
        ({"a": 1}, "'a' is a int"), ({1: w.ones(1)}, "names are strings"), ({"__metadata__": w.ones(1)}, "names"),
        ({"a": w.ones(1, dtype=w.complex128)}, "complex128"),
    ):  # fmt: skip
        with pytest.raises(TypeError, match=words):
            safetensors.save(bad)
    with pytest.raises(TypeError, match="metadata"):
        safetensors.save({}, {"a": 1})  # type: ignore[dict-item]


def test_fuzzed_safetensors_do_no_harm() -> None:
    rng = random.Random(1)
    whole = safetensors.save({"a": w.ones(3), "b": w.zeros(2, 2, dtype=w.int64)}, {"k": "v"})
    outcomes = collections.Counter[str]()
    for _ in range(1500):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(data))
            if rng.random() < 0.5:
                data[at] = rng.randrange(256)
            else:
                del data[at : at + rng.randint(1, 9)]
        try:
            safetensors.load(bytes(data))
            outcomes["loaded"] += 1
        except safetensors.SafetensorError:
            outcomes["refused"] += 1
    assert outcomes["refused"] > 500 and outcomes["loaded"] > 50


# ---- the format follows the name
NAMED = [".safetensors", ".npz"]


def odd_tensors() -> dict[str, Any]:
    x = w.arange(12.0)
    return {
        "t": x.reshape(3, 4).t(), "step": x[::2], "a": x[1:4], "b": x[2:6], "wide": w.ones(1, 3).expand(4, 3), "scalar": w.tensor(2.5),
        "empty": w.zeros(0, 3), "complex": w.tensor([1 + 2j]), "p": nn.Parameter(w.ones(2)), "ü.npy": w.ones(1), "ü": w.zeros(1), "": w.ones(1),
    }  # fmt: skip


@pytest.mark.parametrize("suffix", NAMED)
def test_the_format_follows_the_suffix(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix.upper()}"
    tensors = odd_tensors() | {name: values(name) for name in DTYPES if name not in ("bfloat16", "complex128")}
    w.save(tensors, path)
    back = w.load(path)
    assert back.keys() == tensors.keys()
    for name, x in tensors.items():
        assert back[name].dtype is x.dtype and back[name].shape == x.shape and back[name].tolist() == x.tolist(), name
        back[name].add_(1) if x.dtype is not w.bool else None
    assert back["b"].tolist() == [3, 4, 5, 6]  # values alone: what shared memory does not any more
    assert path.read_bytes()[:2] == b"PK" if suffix == ".npz" else safetensors.load_file(path).keys() == tensors.keys()
    with open(path, "rb") as file:
        assert w.load(file, map_location="cpu").keys() == tensors.keys()
    w.save({}, path)
    assert w.load(path) == {} and len([*tmp_path.iterdir()]) == 1
    file = io.BytesIO()
    w.save({"x": [1]}, file)  # a file object has no name to follow
    assert w.load(file) == {"x": [1]}


@pytest.mark.parametrize("suffix", NAMED)
def test_state_dicts_by_suffix(suffix: str, tmp_path: Path) -> None:
    model, other = (nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)) for _ in range(2))
    w.save(model.state_dict(), tmp_path / f"m{suffix}")
    other.load_state_dict(w.load(tmp_path / f"m{suffix}"))
    assert all(a.equal(b) for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True))
    w.save({"model": model.state_dict(), "step": w.tensor(3)}, tmp_path / f"n{suffix}")
    assert {*w.load(tmp_path / f"n{suffix}")} == {f"model.{k}" for k in model.state_dict()} | {"step"}


CANNOT_KEEP: list[tuple[Any, type[Exception], str]] = [
    ({"a": {"lr": 0.1}}, TypeError, r"obj\['a'\]\['lr'\] is a float; .* save as .pt"), ({"a": [w.ones(1)]}, TypeError, r"obj\['a'\] is a list"),
    (w.ones(1), TypeError, 'give it a name, {"x": tensor}'), ([], TypeError, "obj is a list"), (nn.Linear(1, 1), TypeError, r"state_dict\(\)"),
    ({"a": np.ones(1)}, TypeError, "from_numpy"), ({0: w.ones(1)}, TypeError, "the key 0"), ({"a": {}}, TypeError, r"obj\['a'\] is empty"),
    ({"a.b": w.ones(1), "a": {"b": w.ones(1)}}, ValueError, r"both be named 'a.b' .* the second is obj\['a'\]\['b'\]"),
]  # fmt: skip


@pytest.mark.parametrize("suffix", NAMED)
def test_what_a_format_cannot_keep_is_named_and_the_old_file_stays(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    w.save({"old": w.ones(1)}, path)
    loop: dict[str, Any] = {"x": w.ones(1)}
    loop["loop"] = loop
    own = [({"z": w.ones(1, dtype=w.complex128)}, TypeError, "complex128")] if suffix == ".safetensors" else [
        ({"z": w.ones(1).bfloat16()}, TypeError, r"'z' has dtype \S*bfloat16.*\.safetensors or \.pt"), ({"a\0b": w.ones(1)}, ValueError, "NUL"),
        ({"\ud800": w.ones(1)}, ValueError, "UTF-8"), ({"x" * 70_000: w.ones(1)}, ValueError, "short"),
    ]  # fmt: skip
    for bad, kind, words in [*CANNOT_KEEP, (loop, ValueError, "contains itself"), *own]:
        with pytest.raises(kind, match=words):
            w.save(bad, path)
    assert {*w.load(path)} == {"old"} and [p.name for p in tmp_path.iterdir()] == [path.name]


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def npz_entry(header: bytes, data: bytes = b"", magic: bytes = b"\x93NUMPY\x01\x00", times: int = 1, method: int = zipfile.ZIP_STORED) -> bytes:
    """Return an archive whose `times` entries of one name begin with a header of our own."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of a name that stands twice
        for _ in range(times):
            archive.writestr("a.npy", magic + struct.pack("<H", len(header)) + header + data)
    return file.getvalue()


def described(shape: str, descr: str = "'<f4'") -> bytes:
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()


BAD_NPZ = {
    "objects": npz(a=np.array([None, 1])), "text": npz(a=np.array(["x"])), "dates": npz(a=np.zeros(1, "M8[s]")), "records": npz(a=np.zeros(1, [("x", "i4")])),
    "more than there is": npz_entry(described("(9,)"), bytes(8)), "less than there is": npz_entry(described("(1,)"), bytes(8)),
    "huge": npz_entry(described(f"({2**40}, {2**40})"), bytes(8)), "huge empty": npz_entry(described(f"({2**50}, 0, {2**50})")),
    "negative": npz_entry(described("(-2,)"), bytes(8)), "many dims": npz_entry(described("(" + "1," * 40 + ")"), bytes(4)),
    "shape of text": npz_entry(described("('a',)")), "no shape": npz_entry(b"{'descr': '<f4'}"), "a call": npz_entry(described("__import__('os').system('true')")),
    "deep": npz_entry(described("(" * 5000 + ")" * 5000)), "signs": npz_entry(described("-" * 9000 + "1")), "odd dtype": npz_entry(described("(1,)", "'<q9'"), bytes(9)),
    "no magic": npz_entry(described("(1,)"), bytes(4), b"\x93NUMPX\x01\x00"), "version": npz_entry(described("(1,)"), bytes(4), b"\x93NUMPY\x09\x00"),
    "cut header": npz_entry(described("(1,)")[:20]), "twice": npz_entry(described("(1,)"), bytes(4), times=2),
    "other compression": npz_entry(described("(1,)"), bytes(4), method=zipfile.ZIP_BZIP2), "cut": npz(a=np.ones(9))[:-30],
    "checksum": npz(a=np.ones(9)).replace(np.ones(9).tobytes(), np.zeros(9).tobytes()),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_NPZ)
def test_bad_npz_files_are_refused(name: str) -> None:
    with pytest.raises(RuntimeError, match="load: "):
        w.load(io.BytesIO(BAD_NPZ[name]))


def test_an_npz_entry_that_says_to_be_enormous_takes_no_memory() -> None:
    size = 2**40
    header = described(f"({size},)", "'|u1'")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
        archive.filelist[0].file_size = 10 + len(header) + size
    with pytest.raises(RuntimeError, match="longer than it can be"):
        w.load(file)


def test_npz_files_and_numpy_agree(tmp_path: Path) -> None:
    arrays = {"a": np.arange(6.0).reshape(2, 3), "f": np.asfortranarray(np.arange(6).reshape(2, 3)), "s": np.float32(2), "big": np.arange(3, dtype=">i4"),
              "c": np.ones(2, ">c8"), "e": np.zeros((0, 2)), "b": np.array([True, False])}  # fmt: skip
    for write in (np.savez, np.savez_compressed):
        write(tmp_path / "n.npz", **arrays)
        back = w.load(tmp_path / "n.npz")
        assert {k: v.tolist() for k, v in back.items()} == {k: v.tolist() for k, v in arrays.items()}
    w.save(back, tmp_path / "w.npz")
    with np.load(tmp_path / "w.npz", allow_pickle=False) as theirs:
        assert {k: theirs[k].tolist() for k in theirs.files} == {k: v.tolist() for k, v in arrays.items()}


def test_fuzzed_npz_files_do_no_harm() -> None:
    rng = random.Random(2)
    entry = io.BytesIO()
    np.save(entry, np.ones((3, 4), np.float32))
    whole = npz(a=np.ones(3), b=np.zeros((2, 2), np.int64))
    import tracemalloc

    tracemalloc.start()
    outcomes = collections.Counter[str]()
    for i in range(900):
        data = bytearray(entry.getvalue() if i % 3 else whole)
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(data))
            if rng.random() < 0.6:
                data[at] = rng.randrange(256)
            else:
                del data[at : at + rng.randint(1, 9)]
        if i % 3:
            file = io.BytesIO()
            with zipfile.ZipFile(file, "w") as archive:
                archive.writestr("a.npy", bytes(data))
            data = bytearray(file.getvalue())
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # NumPy reads a header of Python 2 with a warning
                w.load(io.BytesIO(data))
            outcomes["loaded"] += 1
        except (RuntimeError, pickle.UnpicklingError) as error:
            assert str(error)
            outcomes["refused"] += 1
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()
    assert outcomes["refused"] > 300 and outcomes["loaded"] > 50


def test_safetensors_package_agrees() -> None:
    package = pytest.importorskip("safetensors.numpy")
    tensors = {"a": w.arange(6.0).reshape(2, 3), "b": w.ones(2, dtype=w.int16), "c": w.tensor(True)}
    theirs = package.load(safetensors.save(tensors))
    assert {k: v.tolist() for k, v in theirs.items()} == {k: v.tolist() for k, v in tensors.items()}
    assert package.save({k: v.numpy() for k, v in tensors.items()}) == safetensors.save(tensors)


def test_saving_looks_for_no_plugins() -> None:
    program = "import io, wengert\nwengert.save({'x': wengert.ones(1)}, io.BytesIO())\nprint(wengert.plugins._scanned)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "False\n"


VALUES: dict[str, Any] = {
    "arrays": [np.arange(6.0).reshape(2, 3).T, np.array(["a", "bc"]), np.zeros((0, 2), "i1"), np.array([True]), np.array(1 + 2j)],
    "dtypes": [np.dtype("f4"), np.dtype("U3")], "generator": np.random.RandomState(0).get_state(), "bytes": bytearray(b"\xff"),
    "containers": [frozenset([1, (2, 3), frozenset("a")]), range(1, 9, 2), slice(None, 3), collections.deque([1, [2]], 5), collections.deque()],
    "default": [collections.defaultdict(kind, {"a": kind()}) for kind in (list, set, collections.OrderedDict)],
    "types": [int, str, set], "path": [Path("a", "b.txt"), PurePosixPath("a"), PureWindowsPath("C:/a")],
    "times": [datetime.datetime(2020, 1, 2, 3, tzinfo=datetime.UTC), datetime.date(2020, 1, 2), datetime.timedelta(1, 2)],
    "numbers": [Fraction(1, 3), Decimal("1.50")],
}  # fmt: skip


def alike(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return type(b) is np.ndarray and a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, list | tuple | collections.deque):
        return type(a) is type(b) and len(a) == len(b) and all(map(alike, a, b))
    return bool(a == b) and type(a) is type(b) and getattr(a, "default_factory", None) is getattr(b, "default_factory", None)


@pytest.mark.parity
@pytest.mark.parametrize("name", VALUES)
def test_values_of_numpy_and_the_standard_library(name: str) -> None:
    """Are saved, and read by weights_only=False here and by PyTorch, and here what PyTorch saves."""
    torch = pytest.importorskip("torch")
    file = saved(VALUES[name])
    assert alike(VALUES[name], w.load(file, weights_only=False))
    file.seek(0)
    assert alike(VALUES[name], torch.load(file, weights_only=False))
    file = io.BytesIO()
    torch.save([VALUES[name], VALUES[name]], file)
    file.seek(0)
    assert alike([VALUES[name]] * 2, w.load(file, weights_only=False))
    if name != "bytes":
        with pytest.raises(pickle.UnpicklingError, match="with weights_only=False it is, too"):
            w.load(file)


def test_values_that_files_of_pytorch_say_less_of() -> None:
    """Byte orders of other machines, hours that come twice; what would come back as something else is not written."""
    order, hour = np.arange(3, dtype=">f4"), datetime.datetime(2020, 10, 25, 2, fold=1)
    found = w.load(saved([order, order.dtype, hour, hour.time()]), weights_only=False)
    assert found[0].tolist() == [0, 1, 2] and found[1] == order.dtype and [x.fold for x in found[2:]] == [1, 1]
    for value in (np.datetime64(1, "ns"), np.longdouble(1), slice("a"), datetime.tzinfo()):
        with pytest.raises(TypeError, match=r"save: obj\[0\] is a"):
            saved([value])


@pytest.mark.parametrize("wrong", [
    (1, (2,), "f8", b"12345678"), (1, (-1,), "f8", b""), (1, (1,), "O", b""), (1, (1,) * 100, "f8", b"12345678"),
    (1, (0, 2**80), "f8", b""), (1, (1,), "U1", b"\xff" * 4),
])  # fmt: skip
def test_arrays_that_are_none_are_refused(wrong: tuple[Any, ...]) -> None:
    version, shape, kind, data = wrong
    make, arguments, _ = np.ones(1).__reduce__()
    with pytest.raises(pickle.UnpicklingError, match="malformed"):
        w.load(reduced(make, arguments, (version, shape, np.dtype(kind), False, data)), weights_only=False)


@pytest.mark.parametrize("wrong", [
    (frozenset, (range(2**40),)), (set, (range(2**40),)), (collections.deque, ([], -1)), (np.dtype, ("f8", False, True), (3,)),
    (np.dtype, ("f8", False, True), (3, np.ones(2), None, None, None)), (Fraction, ("1e999999999",)),
])  # fmt: skip
def test_values_that_have_no_end_or_no_sense_are_refused(wrong: tuple[Any, ...]) -> None:
    with pytest.raises(pickle.UnpicklingError, match="load: "):
        w.load(reduced(*wrong), weights_only=False)


def reduced(*parts: Any) -> io.BytesIO:
    """Return a file of one value that is made of these parts."""

    class Wrong:
        def __reduce__(self) -> Any:
            return parts

    file = saved(0)
    program, changed = pickle.dumps(Wrong(), 2), io.BytesIO()
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(changed, "w") as new:
        for entry in old.namelist():
            new.writestr(entry, program if entry.endswith("data.pkl") else old.read(entry))
    changed.seek(0)
    return changed


@pytest.mark.parity
def test_what_else_pytorch_writes_about_tensors() -> None:
    """Views that are conjugated or negated when they are used, and buffers."""
    torch = pytest.importorskip("torch")
    x = torch.tensor([1 + 2j, 3 - 1j])
    file = io.BytesIO()
    torch.save([x.conj(), torch.nn.Buffer(x.real.clone()), x.conj().requires_grad_()], file)
    file.seek(0)
    conj, buffer, leaf = w.load(file)
    assert conj.tolist() == [1 - 2j, 3 + 1j] and buffer.tolist() == [1, 3]
    file = io.BytesIO()
    torch.save(x.conj().imag, file)
    file.seek(0)
    assert w.load(file).tolist() == [-2, 1]
    assert leaf.requires_grad and leaf.is_leaf and leaf.tolist() == conj.tolist()


def test_a_file_after_something_else_is_read_from_where_it_is() -> None:
    file = io.BytesIO()
    pickle.dump([1, 2], file)
    w.save(w.ones(2), file)
    file.seek(0)
    assert pickle.load(file) == [1, 2] and w.load(file).tolist() == [1, 1]

    class Bare:  # with no more than what reading takes
        def __init__(self) -> None:
            self.read = io.BytesIO(saved(w.ones(2)).getvalue()).read

    assert w.load(Bare()).tolist() == [1, 1]
