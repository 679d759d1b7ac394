# MLP: 784*128 + 128 + 128*10 + 10
# note: built as at called_in_main.py:19: `MLP(n_in, 128, n_out=10)`

import torch
import torch.nn as nn
import torch.nn.functional as F

class MLP(nn.Module):
    def __init__(self, n_in, n_mid, n_out):
        super().__init__()
        self.fc1 = nn.Linear(n_in, n_mid)
        self.fc2 = nn.Linear(n_mid, n_out)

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x)))

if __name__ == "__main__":
    n_in = 28 * 28
    net = MLP(n_in, 128, n_out=10)
