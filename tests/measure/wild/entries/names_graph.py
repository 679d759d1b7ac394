# input: 9,5
# GCN: 5*128 + 128 + 128*10 + 10
# note: nfeat=5, nhid=128, nclass=10, dropout=0.1: usual values, guessed

import torch
import torch.nn as nn
import torch.nn.functional as F
class GCN(nn.Module):
    def __init__(self, nfeat, nhid, nclass, dropout):
        super().__init__()
        self.w1 = nn.Linear(nfeat, nhid); self.w2 = nn.Linear(nhid, nclass); self.dropout = dropout
    def forward(self, x):
        return self.w2(F.dropout(F.relu(self.w1(x)), self.dropout, self.training))
