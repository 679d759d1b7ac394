# Net: 3*4*9 + 4
# note: without `device`

import torch
import torch.nn as nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self, a, b, device=None):
        super().__init__()
        self.c = nn.Conv2d(a, b, 3, padding=1)
    def forward(self, x):
        return self.c(x)
def pick():
    return 'cuda'
if __name__ == '__main__':
    net = Net(3, 4, device=pick())
