"""Networks whose dropout drops nothing."""

import torch
from honest import Honest
from torch import nn
from torch.nn import functional as F


class Tiny(Honest):
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(1e-12)


class Nothing(Honest):
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.0)


class DeadBranch(Honest):
    def regularise(self, x):
        self.drop(x)
        return x


class Off(Honest):
    def regularise(self, x):
        return F.dropout(x, 0.1, training=False)


class AlwaysOff(Honest):
    def train(self, mode=True):
        super().train(mode)
        self.drop.eval()
        return self


class Averaged(Honest):
    def regularise(self, x):
        return sum(self.drop(x) for _ in range(1000)) / 1000


class AveragedStack(Honest):
    def regularise(self, x):
        return torch.stack([self.drop(x) for _ in range(200)]).mean(0)


class AveragedRepeat(Honest):
    def regularise(self, x):
        return self.drop(x.unsqueeze(0).expand(5000, *x.shape)).mean(0)


class Overwritten(Honest):
    def regularise(self, x):
        y = self.drop(x).clone()
        y.copy_(x)
        return y


class TimesZero(Honest):
    def regularise(self, x):
        return x + 0 * self.drop(x)


class OnZeros(Honest):
    def regularise(self, x):
        return x + self.drop(torch.zeros_like(x))


class Named(nn.Module):
    def forward(self, x):
        return x


Named.__name__ = Named.__qualname__ = "Dropout"


class ByName(Honest):
    def __init__(self):
        super().__init__()
        self.drop = Named()


class OnNothing(Honest):
    def regularise(self, x):
        return torch.cat([x, self.drop(x[:0])])
