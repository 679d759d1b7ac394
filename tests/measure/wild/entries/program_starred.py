# Net: 3*7*9 + 7
# note: `Net(**options)`

import torch
import torch.nn as nn
import torch.nn.functional as F

options = {'a': 3, 'b': 7}
class Net(nn.Module):
    def __init__(self, a, b):
        super().__init__()
        self.c = nn.Conv2d(a, b, 3, padding=1)
    def forward(self, x):
        return self.c(x)
if __name__ == '__main__':
    Net(**options)
