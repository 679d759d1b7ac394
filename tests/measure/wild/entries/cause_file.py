# Net: error: No such file or directory: 'mean.pt'; the file is not here; put it where the code reads it, or let the model do without it

import torch
import torch.nn as nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__(); self.f = nn.Linear(16, 8)
    def forward(self, x): return self.f(x) + torch.load("mean.pt")
