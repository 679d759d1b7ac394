# Net: 784*5 + 5
# no note: not installed

import torch
import torch.nn as nn
import torch.nn.functional as F

try:
    import timm
except (ImportError, RuntimeError):
    timm = None

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(784, 10 if timm else 5)

    def forward(self, x):
        return self.fc(x.flatten(1))
