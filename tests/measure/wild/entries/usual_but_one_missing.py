# Net: error: needs `table` to be built; give `--args table=…` or `args` in the contract

import torch
import torch.nn as nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self, in_channels, table):
        super().__init__(); self.c = nn.Conv2d(in_channels, len(table), 3)
    def forward(self, x): return self.c(x)
