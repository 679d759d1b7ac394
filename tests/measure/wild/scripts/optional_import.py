# Net: 1*4*9 + 4 + 4*10 + 10
# no note: not installed

import torch
import torch.nn as nn
import torch.nn.functional as F

try:
    import apex_of_nobody as amp
    MIXED = True
except ImportError:
    MIXED = False

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 8 if MIXED else 4, 3)
        self.fc = nn.Linear(8 if MIXED else 4, 10)

    def forward(self, x):
        return self.fc(self.conv(x).relu().mean((2, 3)))
