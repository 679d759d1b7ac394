# input: 2,96,7
# Model: 96*24 + 24
# note: seq_len=96
# note: pred_len=24: usual values, guessed

import torch
import torch.nn as nn
import torch.nn.functional as F

class Model(nn.Module):
    def __init__(self, seq_len, pred_len, enc_in):
        super().__init__()
        assert enc_in == 7
        self.linear = nn.Linear(seq_len, pred_len)

    def forward(self, x):
        return self.linear(x.transpose(1, 2)).transpose(1, 2)
