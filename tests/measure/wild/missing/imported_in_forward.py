# Net: error: ModuleNotFoundError: No module named 'timm'

import torch
import torch.nn as nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(784, 10)

    def forward(self, x):
        import timm
        return self.fc(x.flatten(1))
