# Net: error: No such file or directory: 'weights.pth'

import torch
import torch.nn as nn
import torch.nn.functional as F
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.c = nn.Conv2d(3, 4, 3).cuda()
        self.w = torch.load("weights.pth", map_location="cuda")
    def forward(self, x): return self.c(x)
