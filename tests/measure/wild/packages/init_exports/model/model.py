import torch
import torch.nn as nn
import torch.nn.functional as F
from .layers import Block

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = Block(4)
        self.fc = nn.Linear(4, 10)

    def forward(self, x):
        return self.fc(self.block(x).mean((2, 3)))
