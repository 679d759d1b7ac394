# input: 1,3,32,32
# Net: 3*64*9 + 64
# note: `opt` is stated by no file; assumed: in_nc=3, nf=64

import torch
import torch.nn as nn
import torch.nn.functional as F
class Net(nn.Module):
    def __init__(self, opt):
        super().__init__()
        self.c = nn.Conv2d(opt['in_nc'], opt['nf'], 3)
        if 'use_gan' in opt: raise ValueError
        self.d = getattr(opt, 'deep', False)
    def forward(self, x): return self.c(x)
