# input: 2,16:int64
# Bert: 1000*64 + 64*128 + 128 + 128*10 + 10
# note: `config` is stated by no file; assumed: vocab_size=1000, hidden_size=64, intermediate_size=128, num_labels=10

import torch
import torch.nn as nn
import torch.nn.functional as F

class Bert(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embed = nn.Embedding(config.vocab_size, config.hidden_size)
        self.inner = nn.Linear(config.hidden_size, config.intermediate_size)
        self.out = nn.Linear(config.intermediate_size, config.num_labels)

    def forward(self, ids):
        return self.out(F.gelu(self.inner(self.embed(ids))).mean(1))
