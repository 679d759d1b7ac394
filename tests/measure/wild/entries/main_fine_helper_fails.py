# exit: 0
# first: Net
# input: 1,3,16,16
# Net: 3*4*9 + 4
# EdgeLoss: error: missing 1 required positional argument

import torch
import torch.nn as nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self, a=3, b=4):
        super().__init__()
        self.c = nn.Conv2d(a, b, 3, padding=1)
    def forward(self, x):
        return self.c(x)
class EdgeLoss(nn.Module):
    def __init__(self):
        super().__init__()
        self.k = nn.Conv2d(3, 3, 3)
    def forward(self, x, y):
        return (self.k(x) - self.k(y)).abs().mean()
