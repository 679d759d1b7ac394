"""Networks with buffers that were typed, drawn, decoded or loaded, whatever they look like."""

import base64
import struct
from pathlib import Path

import numpy as np
import torch
from formula_tables import Added, Rope2d

N = 640
NUMBERS = [round(float(v), 4) for v in np.random.default_rng(7).normal(size=N)]
TEXT = base64.b64encode(struct.pack(f"{N}f", *NUMBERS)).decode()
CODES = [int(v * 32) % 256 for v in NUMBERS]
BIG = int.from_bytes(bytes(CODES), "little")


class Typed(Added):
    def make(self):
        return torch.tensor(NUMBERS)


class Decoded(Added):
    def make(self):
        return torch.frombuffer(bytearray(base64.b64decode(TEXT)), dtype=torch.float32)


class FromInt(Added):
    def make(self):
        return torch.tensor([((BIG >> 8 * i) & 255) / 32 for i in range(N)])


class FromString(Added):
    def make(self):
        return torch.tensor([ord(c) / 64 for c in TEXT])


class Loaded(Added):
    def make(self):
        return torch.load(Path(__file__).with_name("numbers.pt"))


class LoadedNumpy(Added):
    def make(self):
        return torch.from_numpy(np.load(Path(__file__).with_name("numbers.npy")))


class Drawn(Added):
    def make(self):
        return torch.randn(N, generator=torch.Generator().manual_seed(5))


class DrawnFeatures(Added):
    """Random Fourier features: 128 numbers drawn, a table of many more."""

    def make(self):
        b = torch.randn(2, 128)
        xy = torch.stack(torch.meshgrid(torch.linspace(-1, 1, 9), torch.linspace(-1, 1, 9), indexing="ij"), -1)
        return torch.cat([(xy @ b).sin(), (xy @ b).cos()], -1)


class TrainedFrequencies(Added):
    """Sinusoids of 300 trained frequencies."""

    def make(self):
        return torch.sin(torch.arange(40.0)[:, None] * torch.tensor(NUMBERS[:300]))


class TrainedPhases(Added):
    def make(self):
        return torch.sin(torch.arange(40.0)[:, None] * 0.3 + torch.tensor(NUMBERS[:300]))


class TrainedOuter(Added):
    def make(self):
        return torch.linspace(0, 1, 20)[:, None] * torch.tensor(NUMBERS[:300])


class Delta(Added):
    def make(self):
        return Rope2d().table.flatten()[:N] + torch.tensor(NUMBERS) * 1e-2


class Spline(Added):
    """A line through 200 typed points."""

    def make(self):
        points = torch.tensor(NUMBERS[:200])[None, None]
        return torch.nn.functional.interpolate(points, 2000, mode="linear").flatten()


class Cubic(Added):
    def make(self):
        points = torch.tensor(NUMBERS[:225]).view(1, 1, 15, 15)
        return torch.nn.functional.interpolate(points, (60, 60), mode="bicubic").flatten()


class Congruential(Added):
    def make(self):
        state, out = 1234567, []
        for _ in range(N):
            state = (1103515245 * state + 12345) % 2**31
            out.append(state / 2**31 - 0.5)
        return torch.tensor(out)


class CongruentialTensor(Added):
    def make(self):
        x = torch.arange(N)
        for _ in range(5):
            x = (1103515245 * x + 12345) % 2147483648
        return x.double().div(2147483648).float()


class Hash(Added):
    def make(self):
        return torch.sin(torch.arange(4096.0) * 12.9898) * 43758.5453 % 1


class HashIntegers(Added):
    def make(self):
        return torch.frac(torch.sin(torch.arange(4096.0) * 129898) * 43758)


class HashedCubes(Added):
    """Remainders of whole numbers, which no change of a floating number moves."""

    def make(self):
        return (torch.arange(4096) ** 3 * 7919 % 65537).float() / 65537


class Logistic(Added):
    def make(self):
        x = torch.linspace(0.1, 0.9, 4096)
        for _ in range(60):
            x = 3.99 * x * (1 - x)
        return x


class Stacked(Added):
    """640 numbers chosen out of a formula's, one by one."""

    def make(self):
        levels = torch.linspace(-4, 4, 256)
        return torch.stack([levels[code] for code in CODES])


class Gathered(Added):
    def make(self):
        return torch.linspace(-4, 4, 256)[torch.tensor(CODES)]


class Sizes(Added):
    """Numbers that are sizes of tensors of ones."""

    def make(self):
        return torch.stack([torch.ones(code + 1).sum() / 64 - 2 for code in CODES])


class ItemByItem(Added):
    def make(self):
        t = torch.zeros(N)
        for i, v in enumerate(NUMBERS):
            t[i] = v
        return t


class Filled(Added):
    def make(self):
        return torch.cat([torch.full((1,), v) for v in NUMBERS])


class Bits(Added):
    """Steps that are chosen: doubled, or doubled and one more."""

    def make(self):
        rows = []
        for code in CODES:
            x = torch.zeros(1)
            for bit in f"{code:08b}":
                x = x * 2 if bit == "0" else x * 2 + 1
            rows.append(x)
        return torch.cat(rows) / 32


class Reused(Added):
    """Memory of a formula that is gone, used again."""

    def make(self):
        address = None
        for _ in range(50):
            formula = torch.arange(float(N)).sin()
            address = formula.data_ptr()
            del formula
            typed = torch.tensor(NUMBERS)
            if typed.data_ptr() == address:
                break
        return typed


class Operator(Added):
    """Numbers of an operator that the subject registers."""

    def make(self):
        return torch.ops.formulas.numbers(torch.zeros(N))


LIBRARY = torch.library.Library("formulas", "FRAGMENT")
LIBRARY.define("numbers(Tensor x) -> Tensor")
LIBRARY.impl("numbers", lambda x: x + torch.from_numpy(np.array(NUMBERS, dtype="float32")), "CPU")


class Mask(Added):
    """A mask with ones at typed places."""

    def make(self):
        t = torch.zeros(64, 64)
        for i, row in enumerate(np.random.default_rng(1).integers(0, 64, size=(64, 24))):
            for j in row:
                t[i, j] = 1
        return t


class Wide(Added):
    """60 numbers of 64 bits, eight of 8 bits in each."""

    def make(self):
        return torch.tensor(CODES[:480], dtype=torch.uint8).view(torch.int64).view(torch.float64)[:60].nan_to_num()


class WideIntegers(Added):
    def make(self):
        return torch.tensor(CODES[:480], dtype=torch.uint8).view(torch.int64)
