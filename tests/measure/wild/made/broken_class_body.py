# Net: 1*4*9 + 4 + 4*10 + 10
# note: not measured beside it: "Broken": `broken_class_body.py:Broken` could not be imported

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
    width = undefined_width * 2

    def forward(self, x):
        return x
