"""Networks whose normalisation or dropout is outdone by larger numbers, and that hinder a look at what is felt."""

import time

import torch
from honest import Honest
from torch.nn import functional as F


class Frozen(Honest):
    """Nothing before the normalisation can be trained, so nothing there asks for a derivative."""

    def __init__(self):
        super().__init__()
        self.requires_grad_(False)

    def normalise(self, x):
        return torch.maximum(x, self.norm(x) - 1e9)


class OfTheInput(Honest):
    def forward(self, x):
        return self.finish(self.norm(self.conv(torch.maximum(x, self.drop(x) - 1e9))))

    def regularise(self, x):
        return x


class WrittenOver(Honest):
    def normalise(self, x):
        y = self.norm(x)
        y -= 1e9
        return y.clamp_(min=x)


class BesideNothing(Honest):
    def normalise(self, x):
        return torch.maximum(x, self.norm(x) - 1e9)

    def finish(self, x):
        return super().finish(x), torch.full((1,), float("nan"))


class BesideInfinity(Honest):
    def normalise(self, x):
        return torch.maximum(x, self.norm(x) - 1e9)

    def finish(self, x):
        return F.pad(super().finish(x), (0, 1), value=float("inf"))


class OfItsOwnChance(Honest):
    def __init__(self):
        super().__init__()
        self.source = torch.Generator()

    def normalise(self, x):
        return torch.maximum(x, self.norm(x) - 1e9)

    def finish(self, x):
        return super().finish(x) + 1e-6 * torch.rand(1, generator=self.source)


class OfTheClock(Honest):
    def normalise(self, x):
        return torch.maximum(x, self.norm(x) - 1e9)

    def finish(self, x):
        return super().finish(x) + 1e-5 * (time.perf_counter_ns() % 1009) / 1009


class Native(Honest):
    def regularise(self, x):
        return torch.maximum(x, torch.native_dropout(x, 0.1, self.training)[0] - 1e9)


class ByOperator(Honest):
    def regularise(self, x):
        return torch.maximum(x, torch.ops.aten.dropout(x, 0.1, self.training) - 1e9)


class NativeNorm(Honest):
    def normalise(self, x):
        norm = self.norm
        of = norm.weight, norm.bias, norm.running_mean, norm.running_var
        return torch.maximum(x, torch.native_batch_norm(x, *of, self.training, 0.1, 1e-5)[0] - 1e9)


class WithoutGradients(Honest):
    def regularise(self, x):
        with torch.no_grad():
            y = self.drop(x)
        return torch.maximum(x, y - 1e9)


class OutOfReach(Honest):
    def normalise(self, x):
        return torch.maximum(x, self.norm(x).detach() - 1e9)


class Picky(Honest):
    """Takes no numbers but those of an image that is standardised."""

    def forward(self, x):
        if float(x.abs().max()) > 6:
            raise ValueError("this is no image")
        return super().forward(x)

    def normalise(self, x):
        return torch.maximum(x, self.norm(x) - 1e9)
