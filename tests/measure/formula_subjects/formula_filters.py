"""Networks with filters, windows and schedules that a formula makes, as people write them."""

import copy
import math

import numpy as np
import torch
import torch.nn.functional as F
from formula_tables import Added, Sized
from torch import nn


class MelFilters(Added):
    def make(self, mels=40, freqs=201, rate=16000):
        all_freqs = torch.linspace(0, rate // 2, freqs)
        m_min, m_max = 2595.0 * math.log10(1.0 + 0.0 / 700.0), 2595.0 * math.log10(1.0 + (rate / 2) / 700.0)
        m_pts = torch.linspace(m_min, m_max, mels + 2)
        f_pts = 700.0 * (10.0 ** (m_pts / 2595.0) - 1.0)
        diff = f_pts[1:] - f_pts[:-1]
        slopes = f_pts.unsqueeze(0) - all_freqs.unsqueeze(1)
        down, up = (-1.0 * slopes[:, :-2]) / diff[:-1], slopes[:, 2:] / diff[1:]
        return torch.max(torch.zeros(1), torch.min(down, up))


class Dct(Added):
    def make(self, mfcc=40, mels=64):
        n, k = torch.arange(float(mels)), torch.arange(float(mfcc)).unsqueeze(1)
        dct = torch.cos(math.pi / float(mels) * (n + 0.5) * k)
        dct[0] *= 1.0 / math.sqrt(2.0)
        dct *= math.sqrt(2.0 / float(mels))
        return dct.t()


class DctLoop(Added):
    """Filters of a frequency channel attention, one number at a time."""

    def make(self, size=7, rows=(0, 0, 6, 0, 3), columns=(0, 1, 0, 5, 3), channel=40):
        table, part = torch.zeros(channel, size, size), channel // len(rows)
        for i, (u, v) in enumerate(zip(rows, columns, strict=True)):
            for x in range(size):
                for y in range(size):
                    value = math.cos(math.pi * u * (x + 0.5) / size) / math.sqrt(size) * (1 if u == 0 else math.sqrt(2))
                    value *= (
                        math.cos(math.pi * v * (y + 0.5) / size) / math.sqrt(size) * (1 if v == 0 else math.sqrt(2))
                    )
                    table[i * part : (i + 1) * part, x, y] = value
        return table


class Windows(nn.Module):
    def __init__(self, size=400):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.register_buffer("hann", torch.hann_window(size))
        self.register_buffer("hamming", torch.hamming_window(size))
        self.register_buffer("kaiser", torch.kaiser_window(size, False, 14.0))
        self.register_buffer("blackman", torch.blackman_window(size))
        self.register_buffer("bartlett", torch.bartlett_window(size))
        self.register_buffer("gauss", torch.exp(-0.5 * ((torch.arange(size) - (size - 1) / 2) / 70.0) ** 2))
        self.register_buffer("povey", torch.hann_window(size, periodic=False).pow(0.85))
        self.register_buffer("kaiser_numpy", torch.from_numpy(np.kaiser(size, 12.0)).float())

    def forward(self, x):
        together = self.hann + self.hamming + self.kaiser + self.blackman + self.bartlett + self.gauss
        return x.mean() * self.scale * (together + self.povey + self.kaiser_numpy)


class Sobel(nn.Module):
    def __init__(self, channels=3):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        sobel = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]])
        laplacian = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
        self.register_buffer("x", sobel.expand(channels, 1, 3, 3).clone())
        self.register_buffer("y", sobel.t().repeat(channels, 1, 1, 1))
        self.register_buffer("laplacian", laplacian.expand(channels, 1, 3, 3).contiguous())

    def forward(self, x):
        return self.scale * sum(F.conv2d(x, k, groups=x.shape[1]) for k in (self.x, self.y, self.laplacian))


class GaussianBlur(nn.Module):
    def __init__(self, size=11, sigma=1.5, channels=3):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        coords = torch.arange(size, dtype=torch.float32) - size // 2
        g = torch.exp(-(coords**2) / (2 * sigma**2))
        g = (g / g.sum()).unsqueeze(1)
        self.register_buffer(
            "kernel", (g @ g.t()).unsqueeze(0).unsqueeze(0).expand(channels, 1, size, size).contiguous()
        )

    def forward(self, x):
        return self.scale * F.conv2d(x, self.kernel, groups=x.shape[1], padding=5)


class SsimLoop(nn.Module):
    def __init__(self, size=11, sigma=1.5):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        g = torch.Tensor([math.exp(-((x - size // 2) ** 2) / float(2 * sigma**2)) for x in range(size)])
        window = (g / g.sum()).unsqueeze(1)
        self.window = window.mm(window.t()).float().unsqueeze(0).unsqueeze(0).expand(3, 1, size, size).contiguous()

    def forward(self, x):
        return self.scale * F.conv2d(x, self.window, groups=3)


class BlurPool(nn.Module):
    def __init__(self, size=5):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        a = np.array([1.0, 4.0, 6.0, 4.0, 1.0])
        filt = torch.Tensor(a[:, None] * a[None, :])
        self.register_buffer("filt", (filt / torch.sum(filt))[None, None].repeat(3, 1, 1, 1))

    def forward(self, x):
        return self.scale * F.conv2d(x, self.filt, stride=2, groups=3)


class Haar(Added):
    def make(self, channels=16):
        low, high = torch.tensor([[1.0, 1.0]]) / math.sqrt(2), torch.tensor([[-1.0, 1.0]]) / math.sqrt(2)
        bands = torch.stack([low.t() @ low, high.t() @ low, low.t() @ high, high.t() @ high])
        return bands.unsqueeze(1).repeat(channels, 1, 1, 1)


class Hadamard(Added):
    def make(self, size=64):
        h = torch.ones(1, 1)
        while h.shape[0] < size:
            h = torch.cat([torch.cat([h, h], 1), torch.cat([h, -h], 1)], 0)
        return h / math.sqrt(size)


class Gabor(Added):
    def make(self, size=11, orientations=8, scales=3):
        y, x = torch.meshgrid(torch.arange(size) - size // 2, torch.arange(size) - size // 2, indexing="ij")
        filters = []
        for s in range(scales):
            for o in range(orientations):
                theta, sigma, lam = math.pi * o / orientations, 2.0 + s, 4.0 * 2**s
                xr = x * math.cos(theta) + y * math.sin(theta)
                yr = -x * math.sin(theta) + y * math.cos(theta)
                filters.append(torch.exp(-(xr**2 + 0.25 * yr**2) / (2 * sigma**2)) * torch.cos(2 * math.pi * xr / lam))
        return torch.stack(filters)


class BicubicKernel(Added):
    def make(self, size=15):
        kernel = np.array(
            [[np.exp(-((i - 7) ** 2 + (j - 7) ** 2) / (2.0 * 2.5**2)) for j in range(size)] for i in range(size)]
        )
        return torch.from_numpy(kernel / kernel.sum()).float()


class DftMatrix(nn.Module):
    def __init__(self, size=64):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        k = torch.arange(size)
        w = torch.exp(-2j * math.pi * k[:, None] * k[None] / size)
        window = torch.hann_window(size)
        self.register_buffer("real", w.real * window)
        self.register_buffer("imag", w.imag * window)

    def forward(self, x):
        return x.mean() * self.scale * (self.real**2 + self.imag)


class FourierOfFft(Added):
    """The basis of a short-time transform, as a transform of the unit matrix."""

    def make(self, size=256):
        basis = torch.fft.rfft(torch.eye(size))
        return torch.cat([basis.real, basis.imag], -1).t() * torch.hann_window(size)


class Vandermonde(Added):
    def make(self, points=30, degree=12):
        return torch.linalg.vander(torch.linspace(-1, 1, points), N=degree)


class Chebyshev(Added):
    def make(self, points=64, degree=10):
        x = torch.cos(math.pi * (torch.arange(points) + 0.5) / points)
        t = [torch.ones_like(x), x]
        for _ in range(degree - 2):
            t.append(2 * x * t[-1] - t[-2])
        return torch.stack(t)


class Legendre(Added):
    """The matrices of a Legendre memory unit and the polynomials themselves."""

    def make(self, order=24):
        q = torch.arange(order, dtype=torch.float64)
        r = (2 * q + 1)[:, None]
        j, i = torch.meshgrid(q, q, indexing="xy")
        return (torch.where(i < j, torch.tensor(-1.0, dtype=torch.float64), (-1.0) ** (i - j + 1)) * r / 100).float()


class Hippo(Added):
    """The state matrix of a structured state-space model."""

    def make(self, n=32):
        p = torch.sqrt(1 + 2 * torch.arange(n))
        a = p[:, None] * p[None]
        return -(torch.tril(a) - torch.diag(torch.arange(n)))


class Diffusion(nn.Module):
    """The schedules of a denoising diffusion model."""

    def __init__(self, steps=1000):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        x = torch.linspace(0, steps, steps + 1, dtype=torch.float64)
        alphas = torch.cos(((x / steps) + 0.008) / 1.008 * math.pi * 0.5) ** 2
        alphas = alphas / alphas[0]
        betas = torch.clip(1 - (alphas[1:] / alphas[:-1]), 0, 0.999)
        total = torch.cumprod(1 - betas, 0)
        before = F.pad(total[:-1], (1, 0), value=1.0)
        for name, value in {
            "betas": betas,
            "alphas_cumprod": total,
            "sqrt_one_minus": torch.sqrt(1.0 - total),
            "variance": betas * (1.0 - before) / (1.0 - total),
            "log": torch.log((betas * (1.0 - before) / (1.0 - total)).clamp(min=1e-20)),
            "coef1": betas * torch.sqrt(before) / (1.0 - total),
        }.items():
            self.register_buffer(name, value.to(torch.float32))

    def forward(self, x):
        return (
            x.mean()
            * self.scale
            * (self.betas + self.alphas_cumprod + self.sqrt_one_minus + self.variance + self.log * self.coef1)
        )


class DiffusionNumpy(Added):
    def make(self, steps=1000):
        betas = np.linspace(0.0001**0.5, 0.02**0.5, steps, dtype=np.float64) ** 2
        return torch.tensor(np.sqrt(np.cumprod(1.0 - betas)), dtype=torch.float32)


class Cloned(nn.Module):
    """Copies of one layer with a table each, as encoders are made."""

    def __init__(self, layers=6):
        super().__init__()
        self.layers = nn.ModuleList([copy.deepcopy(GaussianBlur()) for _ in range(layers)])
        self.other = nn.ModuleList([Sized(4 + n) for n in range(4)])

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return sum(other(x).sum(1) for other in self.other)
