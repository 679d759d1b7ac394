# input: 1,3,8,8
# Net: error: `config.wobble`

import torch
import torch.nn as nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.c = nn.Conv2d(3, config.wobble, 3)
    def forward(self, x):
        return self.c(x)
