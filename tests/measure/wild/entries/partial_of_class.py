# input: 1,3,32,32
# Net: 3*4*9 + 4 + 8

import torch
import torch.nn as nn
import torch.nn.functional as F
from functools import partial
class Net(nn.Module):
    def __init__(self, in_ch, norm_layer, act):
        super().__init__(); self.c = nn.Conv2d(in_ch, 4, 3); self.n = norm_layer(4)
    def forward(self, x): return self.n(self.c(x))
make = partial(Net, 3, nn.BatchNorm2d, "relu")
