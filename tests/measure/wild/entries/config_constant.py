# Net: 300*8
# note: `vocab_size` is 300: `VOCAB_SIZE` of config_constant.py

import torch
import torch.nn as nn
import torch.nn.functional as F

VOCAB_SIZE = 300
class Net(nn.Module):
    def __init__(self, vocab_size):
        super().__init__(); self.e = nn.Embedding(vocab_size, 8)
    def forward(self, x): return self.e(x)
