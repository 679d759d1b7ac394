# Net: 3*4*9 + 4
# no note: built

import torch
import torch.nn as nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self, a=3, b=4):
        super().__init__()
        self.c = nn.Conv2d(a, b, 3, padding=1)
    def forward(self, x):
        return self.c(x)
if __name__ == '__main__':
    net = Net(a=3, b=20)
