# Net: 3*8*9 + 8
# note: built as at program_build.py:18: `build(opt)`

import torch
import torch.nn as nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self, a, b):
        super().__init__()
        self.c = nn.Conv2d(a, b, 3, padding=1)
    def forward(self, x):
        return self.c(x)
def build(opt):
    return Net(opt['a'], opt['b'])
if __name__ == '__main__':
    opt = dict(a=3, b=8)
    model = build(opt)
