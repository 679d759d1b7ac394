# Net: error: (`input` in the contract, `--input` here)); built with in_channels=3: usual values, guessed

import torch
import torch.nn as nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self, in_channels):
        super().__init__(); self.c, self.d = nn.Conv2d(in_channels, 5, 3), nn.Conv2d(7, 3, 1)
    def forward(self, x): return self.d(self.c(x))
