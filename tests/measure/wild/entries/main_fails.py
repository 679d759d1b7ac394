# exit: 2
# first: Net
# input: 1,3,16,16
# Net: error: at main_fails.py:
# Helper: 3*4*9 + 4

import torch
import torch.nn as nn
import torch.nn.functional as F

class Block(nn.Module):
    def __init__(self, a=3, b=4):
        super().__init__()
        self.c = nn.Conv2d(a, b, 3, padding=1)
    def forward(self, x):
        return self.c(x)
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.block, self.last = Block(), nn.Linear(3, 3)
    def forward(self, x):
        return self.last(self.block(x))
class Helper(nn.Module):
    def __init__(self, a=3, b=4):
        super().__init__()
        self.c = nn.Conv2d(a, b, 3, padding=1)
    def forward(self, x):
        return self.c(x)
