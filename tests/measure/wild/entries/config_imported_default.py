# Net: 3*10*9 + 10
# note: `cfg` is stated by no file; assumed: in_channels=3, num_classes=10

import torch
import torch.nn as nn
import torch.nn.functional as F

from settings_elsewhere import cfg
class Net(nn.Module):
    def __init__(self, cfg=cfg):
        super().__init__()
        self.c = nn.Conv2d(cfg.in_channels, cfg.num_classes, 3)
    def forward(self, x): return self.c(x)
