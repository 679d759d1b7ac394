"""Networks whose normalisation or dropout flows into the output, where an index or a larger number takes it out."""

import torch
from honest import Honest


class SlicedNorm(Honest):
    def normalise(self, x):
        return torch.cat([x, self.norm(x)], dim=1)[:, :4]


class StackedNorm(Honest):
    def normalise(self, x):
        return torch.stack([x, self.norm(x)])[0]


class OutdoneNorm(Honest):
    def normalise(self, x):
        return torch.maximum(x, self.norm(x) - 1e9)


class ClampedNorm(Honest):
    def normalise(self, x):
        return x + self.norm(x).clamp(1.0, 1.0)


class SortedNorm(Honest):
    def normalise(self, x):
        return torch.stack([x, self.norm(x) - 1e9]).sort(dim=0).values[1]


class SlicedDropout(Honest):
    def regularise(self, x):
        return torch.cat([x, self.drop(x)], dim=1)[:, :4]


class StackedDropout(Honest):
    def regularise(self, x):
        return torch.stack([x, self.drop(x)])[0]


class OutdoneDropout(Honest):
    def regularise(self, x):
        return torch.maximum(x, self.drop(x) - 1e9)


class ClampedDropout(Honest):
    def regularise(self, x):
        return x + self.drop(x).clamp(1.0, 1.0)


class RoundedDropout(Honest):
    def regularise(self, x):
        return x + (1e-12 * self.drop(x)).round()
