# Refine: 6*8*9 + 8 + 8*3*9 + 3
# note: inputs `x` 1x3x32x32 (float32), `cond` 1x3x32x32 (float32) inferred

import torch
import torch.nn as nn

class Refine(nn.Module):
    def __init__(self):
        super().__init__(); self.a = nn.Conv2d(6, 8, 3, padding=1); self.b = nn.Conv2d(8, 3, 3, padding=1)
    def forward(self, x, cond): return self.b(self.a(torch.cat([x, cond], 1)).relu())
