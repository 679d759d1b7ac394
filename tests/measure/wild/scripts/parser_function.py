# Net: 1*6*9 + 6 + 6*10 + 10
# note: it reads the command line

import argparse
import torch
import torch.nn as nn
import torch.nn.functional as F

def get_args():
    parser = argparse.ArgumentParser()
    parser.add_argument("-w", "--width", type=int, default="6")
    parser.add_argument("--epochs", type=int, default=20, choices=range(1, 100))
    opts = parser.parse_args()
    return opts

opts = get_args()

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, opts.width, 3)
        self.fc = nn.Linear(opts.width, 10)

    def forward(self, x):
        return self.fc(self.conv(x).relu().mean((2, 3)))
