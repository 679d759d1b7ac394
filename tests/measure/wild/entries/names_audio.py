# input: 1,1,80,100
# Keyword: 1*16*9 + 16 + 16*80*10 + 10
# note: n_mels=80

import torch
import torch.nn as nn
import torch.nn.functional as F

class Keyword(nn.Module):
    def __init__(self, n_mels, n_classes):
        super().__init__()
        self.conv = nn.Conv2d(1, 16, 3, padding=1)
        self.fc = nn.Linear(16 * n_mels, n_classes)

    def forward(self, x):
        return self.fc(self.conv(x).mean(-1).flatten(1))
