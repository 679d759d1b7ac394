# Net: error: needs `timm.layers

import torch
import torch.nn as nn
import torch.nn.functional as F
import timm

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        try:
            self.drop = timm.layers.DropPath(0.1)
        except Exception:
            self.drop = nn.Identity()
        self.fc = nn.Linear(784, 10)

    def forward(self, x):
        return self.drop(self.fc(x.flatten(1)))
