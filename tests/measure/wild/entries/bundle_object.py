# Net: 3*64*9 + 64
# input: 1,3,16,16
# note: the model is `net` of an Entry, which `bundle_object.py:Entry` makes; what its `__call__` does around the model is not measured

import torch
import torch.nn as nn
import torch.nn.functional as F

import math
class Net(nn.Module):
    def __init__(self, a, b):
        super().__init__()
        self.c = nn.Conv2d(a, b, 3, padding=1)
    def forward(self, x):
        return self.c(x)
class Entry:
    def __init__(self):
        width = [int(w) for w in '64'.split(',')]
        self.net = Net(3, width[0])
        self.loss = nn.L1Loss()
    def __call__(self, x):
        return self.net(x).clamp(0, 1)
