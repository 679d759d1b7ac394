# input: 1,3,32,32
# SRNet: 3*12*9 + 12
# note: `build_network(OPT)`

import torch
import torch.nn as nn
import torch.nn.functional as F
@torch.no_grad()
def build_network(opt):
    return SRNet(opt["in_nc"], opt["nf"])
class SRNet(nn.Module):
    def __init__(self, in_nc, nf):
        super().__init__(); self.c = nn.Conv2d(in_nc, nf, 3)
    def forward(self, x): return self.c(x)
OPT = {"in_nc": 3, "nf": 12}
if __name__ == "__main__":
    net = build_network(OPT)
