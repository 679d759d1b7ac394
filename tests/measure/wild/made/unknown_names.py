# MLP: error: needs `alpha`, `beta` to be built; give `--args alpha=… beta=…`

import torch
import torch.nn as nn
import torch.nn.functional as F

class MLP(nn.Module):
    def __init__(self, alpha, beta, num_classes):
        super().__init__()
        self.fc1 = nn.Linear(alpha, beta)
        self.fc2 = nn.Linear(beta, num_classes)

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x)))
