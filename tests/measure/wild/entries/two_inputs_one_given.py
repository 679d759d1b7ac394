# input: 1,16
# Net: error: `forward` takes 2 inputs, "x" and "adj"; give each by an `--input` in this order, as in `--input 1,16 --input 1,16`

import torch
import torch.nn as nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__(); self.f = nn.Linear(16, 8)
    def forward(self, x, adj): return adj @ self.f(x)
