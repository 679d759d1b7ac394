import os
import sys
sys.path.append(os.path.join(os.path.dirname(__file__), 'lib'))
import torch
import torch.nn as nn
import torch.nn.functional as F
from blocks import Block

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = Block(4)
        self.fc = nn.Linear(4, 10)

    def forward(self, x):
        return self.fc(self.block(x).mean((2, 3)))

for epoch in range(9):
    train(Net())
