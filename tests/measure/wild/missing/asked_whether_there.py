# Net: error: needs `timm.models

import torch
import torch.nn as nn
import torch.nn.functional as F
import timm

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(784, 10 if hasattr(timm.models, "vit") else 5)

    def forward(self, x):
        return self.fc(x.flatten(1))
