# input: 1,3,8,8
# Net: error: needs `alpha` to be built; give `--args alpha=…`

import torch
import torch.nn as nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self, in_ch, alpha):
        super().__init__()
        self.c = nn.Conv2d(in_ch, alpha, 3)
    def forward(self, x):
        return self.c(x)
