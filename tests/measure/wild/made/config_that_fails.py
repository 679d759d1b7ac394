# Net: error: `config_that_fails.py:Net` needs `config` to be built; give `--args config=…` or `args` in the contract

import torch
from torch import nn


class Config:
    def __init__(self):
        self.device = torch.device("cuda")
        if not torch.cuda.is_initialized():
            raise RuntimeError("start CUDA first")


class Net(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        return self.fc(x)
