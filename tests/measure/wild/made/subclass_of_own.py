# Wide: 1*8*9 + 8 + 8*10 + 10

import torch
import torch.nn as nn
import torch.nn.functional as F

class Base(nn.Module):
    width = 4

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, self.width, 3)
        self.fc = nn.Linear(self.width, 10)

    def forward(self, x):
        return self.fc(self.conv(x).relu().mean((2, 3)))

class Wide(Base):
    width = 8
