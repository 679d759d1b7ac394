# input: 1,3,8,8
# Net: 3*64*9 + 64
# note: `cfg` is stated by no file; assumed: in_chans=3, num_feat=64

import torch
import torch.nn as nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.c = nn.Conv2d(cfg['in_chans'], cfg.get('num_feat'), cfg.get('k', 3))
    def forward(self, x):
        return self.c(x)
