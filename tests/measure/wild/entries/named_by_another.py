# Net: 3*8*9 + 8
# Copy: 3*9*9 + 9

import torch
import torch.nn as nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.c = nn.Conv2d(3, 8, 3)
    def forward(self, x): return self.c(x)

class Copy(nn.Module):
    def __init__(self):
        super(Copy, self).__init__()
        self.c = nn.Conv2d(3, 9, 3)
    def load(self, other: Net):
        if isinstance(other, Net): self.c.bias.data[:8] = other.c.bias.data
    def forward(self, x): return Net.forward(self, x)
