# Net: error: needs `kornia.filters

import torch
import torch.nn as nn
import torch.nn.functional as F
import kornia

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(784, 10)

    def forward(self, x):
        try:
            x = kornia.filters.gaussian_blur2d(x, (3, 3), (1.0, 1.0))
        except ImportError:
            pass
        return self.fc(x.flatten(1))
