# exit: 2
# first: Small
# input: 1,3,16,16
# Small: error: NameError
# Big: 3*4*9 + 4

import torch
import torch.nn as nn
import torch.nn.functional as F

class Block(nn.Module):
    def __init__(self, a=3, b=4):
        super().__init__()
        self.c = nn.Conv2d(a, b, 3, padding=1)
    def forward(self, x):
        return self.c(x)
class Big(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = Block()
    def forward(self, x):
        return self.block(x)
class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.c = nn.Conv2d(3, missing, 3)
    def forward(self, x):
        return self.c(x)
if __name__ == '__main__':
    model = Small()
    model(torch.zeros(1, 3, 8, 8))
