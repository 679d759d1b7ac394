# MLP: 8*6 + 6 + 6*2 + 2
# note: built as at

import torch
import torch.nn as nn
import torch.nn.functional as F
STATES, ACTIONS = 8, 2

class MLP(nn.Module):
    def __init__(self, a, b, c):
        super().__init__()
        self.fc1 = nn.Linear(a, b)
        self.fc2 = nn.Linear(b, c)

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x)))

def agent():
    hidden = ACTIONS * 3
    return dict(net=MLP(STATES, hidden, c=ACTIONS))
