# input: 1,11
# Actor: 11*64 + 64 + 64*64 + 64 + 64*4 + 4
# note: obs_dim=11: as the input has it

import torch
import torch.nn as nn
import torch.nn.functional as F

class Actor(nn.Module):
    def __init__(self, obs_dim, act_dim, hidden_sizes, max_action):
        super().__init__()
        sizes = [obs_dim, *hidden_sizes, act_dim]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:]))
        self.max_action = max_action

    def forward(self, x):
        for layer in self.layers:
            x = torch.tanh(layer(x))
        return x * self.max_action
