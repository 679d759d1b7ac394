"""Networks with tables of positions that a formula makes, as people write them."""

import math

import numpy as np
import torch
from torch import nn


class Added(nn.Module):
    """A layer whose `table` acts on its input, number by number."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.register_buffer("table", self.make())

    def forward(self, x):
        return x.flatten(1).mean(1, keepdim=True) * self.scale * self.table.flatten().to(x.dtype)


class Sinusoid1d(Added):
    def make(self, length=100, width=64):
        position = torch.arange(length).unsqueeze(1)
        div = torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
        pe = torch.zeros(length, width)
        pe[:, 0::2] = torch.sin(position * div)
        pe[:, 1::2] = torch.cos(position * div)
        return pe.unsqueeze(0)


class Sinusoid2d(Added):
    def make(self, height=14, width=14, dim=64):
        half = dim // 2
        div = torch.exp(torch.arange(0.0, half, 2) * -(math.log(10000.0) / half))
        w, h = torch.arange(0.0, width).unsqueeze(1), torch.arange(0.0, height).unsqueeze(1)
        pe = torch.zeros(dim, height, width)
        pe[0:half:2] = torch.sin(w * div).transpose(0, 1).unsqueeze(1).repeat(1, height, 1)
        pe[1:half:2] = torch.cos(w * div).transpose(0, 1).unsqueeze(1).repeat(1, height, 1)
        pe[half::2] = torch.sin(h * div).transpose(0, 1).unsqueeze(2).repeat(1, 1, width)
        pe[half + 1 :: 2] = torch.cos(h * div).transpose(0, 1).unsqueeze(2).repeat(1, 1, width)
        return pe


class Sinusoid2dNumpy(Added):
    """As the masked autoencoder has it."""

    def make(self, size=14, dim=64):
        def one(dim, pos):
            omega = 1.0 / 10000 ** (np.arange(dim // 2, dtype=np.float64) / (dim / 2.0))
            out = np.einsum("m,d->md", pos.reshape(-1), omega)
            return np.concatenate([np.sin(out), np.cos(out)], axis=1)

        grid = np.stack(np.meshgrid(np.arange(size, dtype=np.float32), np.arange(size, dtype=np.float32)), axis=0)
        table = np.concatenate([one(dim // 2, grid[0]), one(dim // 2, grid[1])], axis=1)
        return torch.from_numpy(table).float().unsqueeze(0)


class Rope2d(Added):
    def make(self, size=16, dim=32):
        freqs = 1.0 / (10000 ** (torch.arange(0, dim, 4)[: dim // 4].float() / dim))
        t = torch.arange(size * size, dtype=torch.float32)
        tx, ty = t % size, torch.div(t, size, rounding_mode="floor")
        both = torch.cat([torch.outer(tx, freqs), torch.outer(ty, freqs)], dim=-1)
        return torch.cat([both.cos(), both.sin()], -1)


class RopeComplex(nn.Module):
    def __init__(self, dim=32, end=128, theta=10000.0):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        freqs = 1.0 / (theta ** (torch.arange(0, dim, 2)[: (dim // 2)].float() / dim))
        self.freqs_cis = torch.polar(torch.ones(end, dim // 2), torch.outer(torch.arange(end), freqs))

    def forward(self, x):
        return x.mean() * self.scale * torch.view_as_real(self.freqs_cis)


class RopePixels(Added):
    """Rotary angles of pixels between 1 and 5, as image models of timm have them."""

    def make(self, size=12, dim=32, top=10.0):
        bands = torch.linspace(1.0, top / 2, dim // 4) * math.pi
        t = [torch.linspace(-1.0, 1.0, steps=size) for _ in range(2)]
        grid = torch.stack(torch.meshgrid(t, indexing="ij"), dim=-1).unsqueeze(-1)
        pos = grid * bands
        sin, cos = pos.sin().reshape(size * size, -1), pos.cos().reshape(size * size, -1)
        return torch.cat([sin.repeat_interleave(2, -1), cos.repeat_interleave(2, -1)], -1)


class Alibi(Added):
    def make(self, heads=12, length=40):
        def slopes(n):
            def power_of_2(n):
                start = 2 ** (-(2 ** -(math.log2(n) - 3)))
                return [start * start**i for i in range(n)]

            if math.log2(n).is_integer():
                return power_of_2(n)
            closest = 2 ** math.floor(math.log2(n))
            return power_of_2(closest) + slopes(2 * closest)[0::2][: n - closest]

        distance = -(torch.arange(length)[None] - torch.arange(length)[:, None]).abs()
        return torch.tensor(slopes(heads))[:, None, None] * distance[None]


class SphericalHarmonics(Added):
    def make(self, size=24):
        v, u = torch.meshgrid(torch.linspace(0, math.pi, size), torch.linspace(0, 2 * math.pi, size), indexing="ij")
        x, y, z = v.sin() * u.cos(), v.sin() * u.sin(), v.cos()
        return torch.stack([
            torch.full_like(x, 0.28209479177387814), 0.4886025119029199 * y, 0.4886025119029199 * z,
            0.4886025119029199 * x,
            1.0925484305920792 * x * y, 1.0925484305920792 * y * z, 0.31539156525252005 * (3 * z * z - 1),
            1.0925484305920792 * x * z, 0.5462742152960396 * (x * x - y * y),
        ])  # fmt: skip


class Coordinates(Added):
    def make(self, height=20, width=30):
        ys, xs = torch.linspace(-1, 1, height), torch.linspace(-1, 1, width)
        yy, xx = torch.meshgrid(ys, xs, indexing="ij")
        return torch.stack([xx, yy, (xx**2 + yy**2).sqrt(), torch.atan2(yy, xx)])


class SwinIndex(nn.Module):
    def __init__(self, window=7, heads=3):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        coords = torch.stack(torch.meshgrid([torch.arange(window), torch.arange(window)], indexing="ij"))
        flat = torch.flatten(coords, 1)
        relative = (flat[:, :, None] - flat[:, None, :]).permute(1, 2, 0).contiguous()
        relative[:, :, 0] += window - 1
        relative[:, :, 1] += window - 1
        relative[:, :, 0] *= 2 * window - 1
        self.register_buffer("relative_position_index", relative.sum(-1))

    def forward(self, x):
        return x.mean() * self.bias[self.relative_position_index.view(-1)]


class SwinLogCoordinates(Added):
    """The table of relative coordinates of Swin v2."""

    def make(self, window=8):
        h = torch.arange(-(window - 1), window, dtype=torch.float32)
        table = torch.stack(torch.meshgrid([h, h], indexing="ij")).permute(1, 2, 0).contiguous().unsqueeze(0)
        table[..., 0] /= window - 1
        table[..., 1] /= window - 1
        table *= 8
        return torch.sign(table) * torch.log2(torch.abs(table) + 1.0) / np.log2(8)


class Anchors(Added):
    def make(self, size=16, stride=16):
        scales = torch.tensor([32.0, 64.0, 128.0, 256.0, 512.0])
        ratios = torch.sqrt(torch.tensor([0.5, 1.0, 2.0]))
        ws, hs = (scales[:, None] / ratios[None]).view(-1), (scales[:, None] * ratios[None]).view(-1)
        base = torch.stack([-ws, -hs, ws, hs], dim=1) / 2
        shifts = torch.arange(0, size) * stride
        y, x = torch.meshgrid(shifts, shifts, indexing="ij")
        shift = torch.stack((x.reshape(-1), y.reshape(-1), x.reshape(-1), y.reshape(-1)), dim=1)
        return (shift.view(-1, 1, 4) + base.view(1, -1, 4)).reshape(-1, 4)


class FourierFeatures(Added):
    def make(self, size=16, bands=6):
        xy = torch.stack(torch.meshgrid(torch.linspace(-1, 1, size), torch.linspace(-1, 1, size), indexing="ij"), -1)
        angles = xy[..., None] * (2.0 ** torch.arange(bands) * math.pi)
        return torch.cat([xy, angles.sin().flatten(2), angles.cos().flatten(2)], -1)


class Bins(Added):
    """Relative position buckets of T5."""

    def make(self, length=64, buckets=32, most=128):
        position = torch.arange(length)[None, :] - torch.arange(length)[:, None]
        bucket = (position > 0).long() * (buckets // 2)
        position = position.abs()
        exact = buckets // 4
        large = exact + (torch.log(position.float() / exact) / math.log(most / exact) * (buckets // 2 - exact)).long()
        return bucket + torch.where(
            position < exact, position, torch.min(large, torch.full_like(large, buckets // 2 - 1))
        )


class Icosphere(Added):
    def make(self, count=256):
        i = torch.arange(count) + 0.5
        phi, theta = torch.acos(1 - 2 * i / count), math.pi * (1 + 5**0.5) * i
        return torch.stack([torch.cos(theta) * torch.sin(phi), torch.sin(theta) * torch.sin(phi), torch.cos(phi)], -1)


class Cast(Added):
    """A table in half precision that is reloaded from a state of its own."""

    def make(self):
        return Rope2d().table.half()

    def __init__(self):
        super().__init__()
        self.load_state_dict({k: v.clone() for k, v in self.state_dict().items()})


class FixedEmbedding(nn.Module):
    def __init__(self, count=200, width=64):
        super().__init__()
        w = torch.zeros(count, width).float()
        position = torch.arange(0, count).float().unsqueeze(1)
        div = (torch.arange(0, width, 2).float() * -(math.log(10000.0) / width)).exp()
        w[:, 0::2], w[:, 1::2] = torch.sin(position * div), torch.cos(position * div)
        self.scale = nn.Parameter(torch.ones(1))
        embedding = nn.Embedding(count, width)
        embedding.weight.data.copy_(w)
        self.table = embedding.weight.detach()

    def forward(self, x):
        return x.mean() * self.scale * self.table


class Sized(Rope2d):
    def __init__(self, size):
        self.size = size
        super().__init__()

    def make(self):
        return super().make(self.size)


GLOBAL = Rope2d().table * 1.5


class Global(nn.Module):
    """A table that is made while the file is imported."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return x.mean() * self.scale * GLOBAL
