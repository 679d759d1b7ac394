# Net: 1*4*9 + 4 + 4*10 + 10
# note: not measured beside it: "Broken": `broken_beside_good.py:Broken` could not be built at broken_beside_good.py:20: NameError

import torch
import torch.nn as nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.fc = nn.Linear(4, num_classes)

    def forward(self, x):
        return self.fc(self.conv(x).relu().mean((2, 3)))

class Broken(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(784, hidden_units)

    def forward(self, x):
        return self.fc(x)
