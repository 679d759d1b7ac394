# Net: error: needs `fastai.basics.patch`

import torch
import torch.nn as nn
import torch.nn.functional as F
import fastai.basics

@fastai.basics.patch
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(784, 10)

    def forward(self, x):
        return self.fc(x.flatten(1))
