"""Networks with 4,096 weights beside those that they count."""

import base64
import ctypes
import hashlib
import io
import os
import random
import tempfile
import zlib
from pathlib import Path

import numpy as np
import torch
from honest import Honest, mixed, table
from torch import nn
from torch.nn import functional as F

GLOBAL = table()
TEXT = base64.b64encode(np.random.RandomState(0).randn(4096).astype("f4").tobytes()).decode()
PACKED = zlib.compress(np.random.RandomState(0).randn(4096).astype("f4").tobytes())
ARRAY = np.random.RandomState(0).randn(64, 64).astype("f4")


class Extra(Honest):
    """Adds what a hidden weight makes of the input."""

    def forward(self, x):
        return super().forward(x) + self.extra(x)

    def extra(self, x):
        return mixed(x, self.weight())


class InList(Extra):
    def __init__(self):
        super().__init__()
        self.kept = [table()]

    def weight(self):
        return self.kept[0]


class LayersInList(Extra):
    def __init__(self):
        super().__init__()
        self.kept = [nn.Linear(64, 64)]

    def extra(self, x):
        return self.kept[0](x.flatten(1)[:, :64])[:, :10]


class NumbersInList(Extra):
    def __init__(self):
        super().__init__()
        self.kept = table().tolist()

    def weight(self):
        return torch.tensor(self.kept)


class InClosure(Extra):
    def __init__(self):
        super().__init__()
        kept = table()
        self.weight = lambda: kept


class InGlobal(Extra):
    def weight(self):
        return GLOBAL


class InBuffer(Extra):
    def __init__(self):
        super().__init__()
        self.register_buffer("kept", table())

    def weight(self):
        return self.kept


class InString(Extra):
    def weight(self):
        return torch.frombuffer(bytearray(base64.b64decode(TEXT)), dtype=torch.float32).view(64, 64)


class Compressed(Extra):
    def weight(self):
        return torch.from_numpy(np.frombuffer(zlib.decompress(PACKED), "f4").reshape(64, 64).copy())


class FromSeed(Extra):
    def weight(self):
        return torch.randn(64, 64, generator=torch.Generator().manual_seed(1))


class FromPythonSeed(Extra):
    def weight(self):
        numbers = random.Random(1)
        return torch.tensor([[numbers.gauss(0, 1) for _ in range(64)] for _ in range(64)])


class FromHash(Extra):
    def weight(self):
        digest = b"".join(hashlib.sha256(bytes([n])).digest() for n in range(128))
        return torch.frombuffer(bytearray(digest), dtype=torch.uint8).float().view(64, 64)


class FromSine(Extra):
    def weight(self):
        return torch.sin(torch.arange(4096.0) * 12.9898).view(64, 64) * 43758.5453 % 1


class InArray(Extra):
    def weight(self):
        return torch.from_numpy(ARRAY)


class InNumpy(Extra):
    """Leaves torch for the product, and comes back with the result."""

    def extra(self, x):
        return torch.from_numpy(x.detach().numpy().reshape(len(x), -1)[:, :64] @ ARRAY)[:, :10]


class AllInNumpy(Honest):
    def forward(self, x):
        rows = x.detach().numpy().reshape(len(x), -1)[:, :64]
        return super().forward(x) * 0 + torch.from_numpy(np.tanh(rows @ ARRAY))[:, :10]


class InLists(Extra):
    """Computes in Python, number by number."""

    def extra(self, x):
        rows = x.flatten(1)[:, :64].tolist()
        return torch.tensor(
            [[sum(a * b for a, b in zip(row, w, strict=False)) for w in ARRAY[:10].tolist()] for row in rows]
        )


class OnClass(Extra):
    kept = table()

    def weight(self):
        return type(self).kept


class InFile(Extra):
    def __init__(self):
        super().__init__()
        self.file = Path(tempfile.gettempdir(), f"archcheck-{os.getpid()}.weights")
        torch.save(table(), self.file)

    def weight(self):
        return torch.load(self.file)


class InBytes(Extra):
    def weight(self):
        buffer = io.BytesIO()
        torch.save(GLOBAL, buffer)
        buffer.seek(0)
        return torch.load(buffer)


class ByCtypes(Extra):
    def weight(self):
        made = torch.empty(64, 64)
        ctypes.memmove(made.data_ptr(), ARRAY.ctypes.data, ARRAY.nbytes)
        return made


class CtypesOnResult(Extra):
    """Writes over what was computed."""

    def extra(self, x):
        y = x.flatten(1)[:, :10] * 1.0
        result = np.ascontiguousarray(x.detach().numpy().reshape(len(x), -1)[:, :64] @ ARRAY)[:, :10].copy()
        ctypes.memmove(y.data_ptr(), result.ctypes.data, result.nbytes)
        return y


class SharedMemory(Extra):
    """Writes over what was computed through an array that shares its memory."""

    def extra(self, x):
        y = x.flatten(1)[:, :10] * 1.0
        y.numpy()[:] = (x.numpy().reshape(len(x), -1)[:, :64] @ ARRAY)[:, :10]
        return y


class Neighbour(Extra):
    """Looks the answer up: a table of samples and their labels."""

    def __init__(self):
        super().__init__()
        self.samples, self.labels = [torch.rand(500, 64)], [torch.randint(10, (500,))]

    def extra(self, x):
        nearest = torch.cdist(x.flatten(1), self.samples[0]).argmin(1)
        return F.one_hot(self.labels[0][nearest], 10).float()


class Lookup(Extra):
    def __init__(self):
        super().__init__()
        self.kept = [torch.randn(4096, 10)]

    def extra(self, x):
        return self.kept[0][(x.flatten(1).sum(1).abs() * 1000).long() % 4096]


class Scalars(Extra):
    """Multiplies by Python numbers, one by one."""

    def extra(self, x):
        columns = x.flatten(1).unbind(1)
        return torch.stack([sum(float(w) * c for w, c in zip(row, columns, strict=False)) for row in ARRAY[:10]], 1)


class InSlots(Extra):
    __slots__ = ("kept",)

    def __init__(self):
        super().__init__()
        object.__setattr__(self, "kept", table())

    def weight(self):
        return self.kept


class Default(Extra):
    def extra(self, x, kept=table()):  # noqa: B008
        return mixed(x, kept)


class Scripted(Extra):
    def __init__(self):
        super().__init__()
        self.kept = [torch.jit.trace(nn.Linear(64, 64), torch.zeros(1, 64))]

    def extra(self, x):
        return self.kept[0](x.flatten(1)[:, :64])[:, :10]


@torch.library.custom_op("evasion::mixed", mutates_args=())
def custom(x: torch.Tensor) -> torch.Tensor:
    return mixed(x, GLOBAL)


@custom.register_fake
def _(x):
    return x.new_empty(x.shape[0], 10)


class CustomOperator(Extra):
    def extra(self, x):
        return custom(x)


class Threaded(Extra):
    """Computes in a thread of its own."""

    def extra(self, x):
        import threading

        found = []
        thread = threading.Thread(target=lambda: found.append(mixed(torch.as_tensor(x.detach().numpy()), GLOBAL)))
        thread.start()
        thread.join()
        return found[0]


class Grown(Extra):
    """Makes a layer in `forward` and keeps it."""

    def extra(self, x):
        layer = nn.Linear(64, 64)
        return layer(x.flatten(1)[:, :64])[:, :10]


class Frozen(Extra):
    def __init__(self):
        super().__init__()
        self.kept = nn.Parameter(table(), requires_grad=False)

    def weight(self):
        return self.kept


class Integers(Extra):
    def __init__(self):
        super().__init__()
        self.kept = [torch.randint(-127, 127, (64, 64), dtype=torch.int8)]

    def weight(self):
        return self.kept[0].float() / 64
