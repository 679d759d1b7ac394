# MLP: 20*30 + 30 + 30*4 + 4
# note: built as at called_in_function.py:18

import torch
import torch.nn as nn
import torch.nn.functional as F

class MLP(nn.Module):
    def __init__(self, a, b, c):
        super().__init__()
        self.fc1 = nn.Linear(a, b)
        self.fc2 = nn.Linear(b, c)

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x)))

def test_shapes():
    model = MLP(20, 30, 4)
    assert model(torch.randn(2, 20)).shape == (2, 4)
