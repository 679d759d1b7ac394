# Net: 40*6
# note: input 2x12 (int64) as at

import torch
import torch.nn as nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self, a, b):
        super().__init__()
        self.c = nn.Embedding(a, b)
    def forward(self, x):
        return self.c(x)
if __name__ == '__main__':
    net = Net(40, 6)
    ids = torch.randint(0, 40, (2, 12))
    net(ids)
