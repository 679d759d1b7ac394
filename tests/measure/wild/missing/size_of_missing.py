# Net: error: needs `pandas.options

import torch
import torch.nn as nn
import torch.nn.functional as F
import pandas as pd
OUT = pd.options.display.max_columns

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(784, OUT)

    def forward(self, x):
        return self.fc(x.flatten(1))
