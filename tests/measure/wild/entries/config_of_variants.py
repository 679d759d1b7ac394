# Net: 3*7*9 + 7
# note: `cfg` is `CONFIGS['tiny']` of config_of_variants.py

import torch
import torch.nn as nn
import torch.nn.functional as F

CONFIGS = {'tiny': dict(cin=3, width=7), 'base': dict(cin=3, width=9)}
class Net(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.c = nn.Conv2d(cfg["cin"], cfg["width"], 3)
    def forward(self, x): return self.c(x)
