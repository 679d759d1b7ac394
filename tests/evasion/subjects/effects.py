"""Networks whose normalisation or dropout runs and does nothing, or is taken out again by what follows."""

import torch
from honest import Honest
from torch import nn
from torch.nn import functional as F


class ByZeroAndOne(Honest):
    def normalise(self, x):
        return F.batch_norm(x, torch.zeros(4), torch.ones(4), self.norm.weight, self.norm.bias, training=False)


class BeyondAnyVariance(Honest):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(4, eps=1e10)

    def normalise(self, x):
        return self.norm(x) * 1e5


class StandardisedAgain(Honest):
    def normalise(self, x):
        y, axes = self.norm(x), (2, 3)
        y = (y - y.mean(axes, keepdim=True)) / (y.std(axes, keepdim=True) + 1e-12)
        return y * x.std(axes, keepdim=True) + x.mean(axes, keepdim=True)


class LessItself(Honest):
    def normalise(self, x):
        y = self.norm(x)
        return x + y - y.detach()


class FilledAgain(Honest):
    def regularise(self, x):
        y = self.drop(x)
        return torch.where(y == 0, x, y * (1 - self.drop.p)) if self.training else y


class OfOneSeed(Honest):
    def regularise(self, x):
        state = torch.get_rng_state()
        torch.manual_seed(7)
        y = self.drop(x)
        torch.set_rng_state(state)
        return y


class ShiftOfASoftmax(Honest):
    def finish(self, x):
        y = torch.relu(x).mean((2, 3))
        return torch.log_softmax(self.head(y) + self.drop(y.amax(1, keepdim=True)), 1)


class ManyLayers(Honest):
    def __init__(self):
        super().__init__()
        self.drops = nn.ModuleList(nn.Dropout(0.1) for _ in range(60))

    def regularise(self, x):
        return sum(drop(x) for drop in self.drops) / len(self.drops)
