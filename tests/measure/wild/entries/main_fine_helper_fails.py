# exit: 0
# first: Net
# input: 1,3,16,16
# Net: 3*4*9 + 4
# note: not measured beside it: "EdgeLoss": the forward pass failed on input 1x3x16x16: TypeError: EdgeLoss.forward() missing 1 required positional argument: 'y'; `forward` takes 2 inputs, "x" and "y"; give each by an `--input`

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
