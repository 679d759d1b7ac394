# input: 2,9,5
# TCN: error: 'int' object is not iterable

import torch
import torch.nn as nn
import torch.nn.functional as F
class TCN(nn.Module):
    def __init__(self, num_inputs, num_channels, kernel_size, dropout):
        super().__init__()
        self.n = nn.ModuleList([nn.Conv1d(num_inputs if i == 0 else num_channels[i-1], c, kernel_size) for i, c in enumerate(num_channels)])
    def forward(self, x):
        for c in self.n: x = c(x)
        return x
