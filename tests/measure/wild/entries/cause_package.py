# Net: error: ModuleNotFoundError: No module named 'nowhere_at_all'; it needs `nowhere_at_all`, which is not installed here, nor a file beside it; install it and try again

import torch
import torch.nn as nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__(); self.f = nn.Linear(16, 8)
    def forward(self, x):
        from nowhere_at_all import rearrange
        return rearrange(self.f(x))
