# Net: error: needs `einops.rearrange`, which is not installed here; install it (`pip install einops`)

import torch
import torch.nn as nn
import torch.nn.functional as F
from einops import rearrange

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(784, 10)

    def forward(self, x):
        return self.fc(rearrange(x, "b c h w -> b (c h w)"))
