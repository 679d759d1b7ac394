# Net: 784*5 + 5
# no note: not installed

import torch
import torch.nn as nn
import torch.nn.functional as F
import importlib.util
HAVE = importlib.util.find_spec("timm") is not None

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(784, 10 if HAVE else 5)

    def forward(self, x):
        return self.fc(x.flatten(1))
