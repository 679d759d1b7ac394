# Net: error: TypeError: 'NoneType' object is not callable; `attend` is None without `nowhere_at_all`, which is not installed here

import torch
import torch.nn as nn
import torch.nn.functional as F

try:
    from nowhere_at_all.fast import attend
except ImportError:
    attend = None
class Net(nn.Module):
    def __init__(self):
        super().__init__(); self.f = nn.Linear(16, 8)
    def forward(self, x): return attend(self.f(x))
