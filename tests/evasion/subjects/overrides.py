"""Methods of `nn.Module` that say less than there is."""

import torch
from honest import Large
from torch import nn


class Parameters(Large):
    def parameters(self, recurse=True):
        return iter([self.conv.weight])


class NamedParameters(Large):
    def named_parameters(self, *args, **kwargs):
        return iter([("conv.weight", self.conv.weight)])


class Modules(Large):
    def modules(self):
        return iter([self, self.conv, self.norm, self.drop, self.head])


class NamedModules(Large):
    def named_modules(self, *args, **kwargs):
        return iter([("", self), ("conv", self.conv)])


class Children(Large):
    def children(self):
        return iter([self.conv])

    def named_children(self):
        return iter([("conv", self.conv)])


class StateDict(Large):
    def state_dict(self, *args, **kwargs):
        return {"conv.weight": self.conv.weight}


class Length(nn.Sequential):
    def __init__(self):
        super().__init__(Large())

    def __len__(self):
        return 0

    def __iter__(self):
        return iter(())


class Directory(Large):
    def __dir__(self):
        return ["conv", "head"]


class Attributes(Large):
    def __getattribute__(self, name):
        if name in ("_parameters", "_modules", "__dict__"):
            found = super().__getattribute__(name)
            return {key: value for key, value in found.items() if key not in ("wide", "more")}
        return super().__getattribute__(name)

    def __getattr__(self, name):
        return object.__getattribute__(self, "__dict__")["_modules"][name]

    def forward(self, x):
        modules = object.__getattribute__(self, "__dict__")["_modules"]
        return super().forward(x) + modules["more"](torch.relu(modules["wide"](x.flatten(1)[:, :64])))


class Empty(dict):
    """A dictionary that hands out everything and lists nothing."""

    def items(self):
        return [(key, self[key]) for key in list(self) if key not in ("wide", "more", "weight")]

    def values(self):
        return [value for _, value in self.items()]

    def __iter__(self):
        return iter(key for key in dict.keys(self) if key not in ("wide", "more", "weight"))

    def __len__(self):
        return 0

    def __bool__(self):
        return False


class LyingModules(Large):
    def __init__(self):
        super().__init__()
        self.__dict__["_modules"] = Empty(self._modules)


class LyingParameters(Large):
    def __init__(self):
        super().__init__()
        for layer in (self.wide, self.more):
            layer.__dict__["_parameters"] = Empty(layer._parameters)
