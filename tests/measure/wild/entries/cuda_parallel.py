# input: 1,3,32,32
# DataParallel: 3*5*9 + 5
# note: no `cuda` here

import torch
import torch.nn as nn
import torch.nn.functional as F
class A(nn.Module):
    def __init__(self): super().__init__(); self.c = nn.Conv2d(3, 5, 3)
    def forward(self, x): return self.c(x.cuda(non_blocking=True)).to(x.device)
net = torch.nn.DataParallel(A()).cuda()
