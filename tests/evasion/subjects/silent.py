"""Networks whose normalisation runs, reaches the output by the letter, and changes nothing."""

import torch
from honest import Honest
from torch import nn


class TimesZero(Honest):
    def normalise(self, x):
        return x + 0 * self.norm(x)


class TimesZeroTensor(Honest):
    def normalise(self, x):
        return x + torch.zeros(()) * self.norm(x)


class FrozenZero(Honest):
    def __init__(self):
        super().__init__()
        self.norm.weight = nn.Parameter(torch.zeros(4), requires_grad=False)
        self.norm.bias = nn.Parameter(torch.zeros(4), requires_grad=False)

    def normalise(self, x):
        return x + self.norm(x)


class Where(Honest):
    def normalise(self, x):
        return torch.where(torch.tensor(False), self.norm(x), x)


class MinusItself(Honest):
    def normalise(self, x):
        return x + (self.norm(x) - self.norm(x))


class Detached(Honest):
    def normalise(self, x):
        y = self.norm(x)
        return x + (y - y.detach()) * 0


class StraightThrough(Honest):
    def normalise(self, x):
        y = self.norm(x)
        return x + (y - y.detach())


class Tiny(Honest):
    def normalise(self, x):
        return x + 1e-30 * self.norm(x)


class Buffer(Honest):
    def __init__(self):
        super().__init__()
        self.register_buffer("gate", torch.zeros(1))

    def normalise(self, x):
        return x + self.gate * self.norm(x)


class Lerp(Honest):
    def normalise(self, x):
        return torch.lerp(x, self.norm(x), 0.0)


class Alpha(Honest):
    def normalise(self, x):
        return torch.add(x, self.norm(x), alpha=0)


class Masked(Honest):
    def normalise(self, x):
        return x.masked_scatter(torch.zeros_like(x, dtype=torch.bool), self.norm(x))


class Overwritten(Honest):
    def normalise(self, x):
        y = self.norm(x).clone()
        y.copy_(x)
        return y


class Sliced(Honest):
    def normalise(self, x):
        return torch.cat([x, self.norm(x)[:, :0]], 1)


class Divided(Honest):
    def normalise(self, x):
        return x + self.norm(x) / float("inf")


class Powered(Honest):
    def normalise(self, x):
        return x * self.norm(x) ** 0


class Clamped(Honest):
    def normalise(self, x):
        return x + self.norm(x).clamp(0, 0)


class Accumulated(Honest):
    def normalise(self, x):
        y = x.clone()
        y.add_(self.norm(x), alpha=0)
        return y


class Dead(Honest):
    def normalise(self, x):
        self.norm(x)
        return x


class Compared(Honest):
    def normalise(self, x):
        return x + (self.norm(x) > 1e30)
