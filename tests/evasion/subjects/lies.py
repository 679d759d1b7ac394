"""Tensors and layers that are not what they say they are."""

import torch
from honest import Honest, Large, mixed, table
from torch import nn


class Small(nn.Parameter):
    """Says of itself that it has one element."""

    def numel(self):
        return 1

    def nelement(self):
        return 1

    def element_size(self):
        return 0

    @property
    def shape(self):
        return torch.Size([1])

    def size(self, dim=None):
        return torch.Size([1]) if dim is None else 1


class Numel(Large):
    def __init__(self):
        super().__init__()
        self.wide.weight = Small(self.wide.weight.data)


class Function(nn.Parameter):
    """Answers for torch's own functions."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if getattr(func, "__name__", "") in ("numel", "nelement", "element_size", "size"):
            return 1
        if getattr(func, "__objclass__", None) is torch._C.TensorBase and func.__name__ == "__get__":
            return torch.Size([1]) if "shape" in str(func) else super().__torch_function__(func, types, args)
        return super().__torch_function__(func, types, args, kwargs or {})


class TorchFunction(Large):
    def __init__(self):
        super().__init__()
        self.wide.weight = Function(self.wide.weight.data)


class Disguised(torch.Tensor):
    """Says of its class that it is a number."""

    @property
    def __class__(self):
        return int


class SpoofedTensor(Honest):
    def __init__(self):
        super().__init__()
        self.hidden = [table().as_subclass(Disguised)]

    def forward(self, x):
        return super().forward(x) + mixed(x, self.hidden[0])


class Unseen(torch.Tensor):
    """Computes unseen by whoever watches what torch dispatches: says that it is ones, and multiplies by more."""

    @staticmethod
    def __new__(cls, inner):
        made = torch.Tensor._make_wrapper_subclass(cls, (10, 10), dtype=inner.dtype)
        made.inner = inner
        return made

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        if func.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.matmul):
            return mixed(args[0].repeat(1, 8), args[1].inner)
        if isinstance(args[0], list):
            return func([each.inner.reshape(-1) if isinstance(each, cls) else each for each in args[0]])
        return cls(args[0].inner)


class OwnDispatch(Honest):
    def __init__(self):
        super().__init__()
        self.few = Unseen(table())

    def forward(self, x):
        return torch.mm(super().forward(x), self.few)


class BatchNorm2d(nn.Module):
    """Is called like a layer of torch and does nothing."""

    def __init__(self, features):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features))
        self.bias = nn.Parameter(torch.zeros(features))

    def forward(self, x):
        return x + (self.weight * self.bias).view(1, -1, 1, 1)


class ByName(Honest):
    def __init__(self):
        super().__init__()
        self.norm = BatchNorm2d(4)


class Posing(BatchNorm2d):
    @property
    def __class__(self):
        return nn.BatchNorm2d


class SpoofedClass(Honest):
    def __init__(self):
        super().__init__()
        self.norm = Posing(4)


class Everything(type):
    def __instancecheck__(cls, instance):
        return True

    def __subclasscheck__(cls, subclass):
        return True


class Meta(nn.Module, metaclass=Everything):
    def forward(self, x):
        return x


Meta.__name__ = Meta.__qualname__ = "BatchNorm2d"
Meta.__module__ = "torch.nn.modules.batchnorm"


class InstanceCheck(Honest):
    def __init__(self):
        super().__init__()
        self.norm = Meta()


class Hidden(nn.Module):
    """A module with weights that denies being one."""

    @property
    def __class__(self):
        return dict


class DeniedModule(Honest):
    def __init__(self):
        super().__init__()
        self.__dict__["rest"] = nn.Linear(64, 64)

    def forward(self, x):
        return super().forward(x) + self.rest(x.flatten(1)[:, :64])[:, :10]
