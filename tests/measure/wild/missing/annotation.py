# Net: 1*4*9 + 4 + 4*10 + 10
# note: not installed, and not needed to measure this: pandas

import torch
import torch.nn as nn
import torch.nn.functional as F
import pandas as pd

class Net(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.fc = nn.Linear(4, num_classes)

    def forward(self, x):
        return self.fc(self.conv(x).relu().mean((2, 3)))

def table(frame: pd.DataFrame, column: pd.Series | None = None) -> "pd.DataFrame":
    return frame[column]
