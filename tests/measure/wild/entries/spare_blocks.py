# exit: 0
# Net: 3*8*9 + 8
# Attention: 4*4 + 4
# note: not measured beside it: "Squeeze": `spare_blocks.py:Squeeze` needs `table`, `gate` to be built

import torch
import torch.nn as nn
import torch.nn.functional as F

class Squeeze(nn.Module):
    def __init__(self, table, gate):
        super().__init__(); self.f = nn.Linear(table[0], gate)
    def forward(self, x): return self.f(x)
class Attention(nn.Module):
    def __init__(self):
        super().__init__(); self.f = nn.Linear(4, 4)
    def forward(self, q, k, v): return self.f(q @ k.mT @ v)
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.c = nn.Conv2d(3, 8, 3)
    def forward(self, x): return self.c(x)
