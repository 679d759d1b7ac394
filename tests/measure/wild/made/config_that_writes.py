# Net: error: makes the folder `runs` when it is built at config_that_writes.py:12

import os

import torch.nn as nn


class Config:
    width = 8

    def __init__(self):
        os.mkdir("runs")


class Net(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.fc = nn.Linear(config.width, 4)

    def forward(self, x):
        return self.fc(x)
