# Net: error: `vocab_size` is set at sets_a_name.py:8

import torch
import torch.nn as nn
import torch.nn.functional as F

text = open("corpus_that_is_elsewhere.txt").read()
vocab_size = len(sorted(set(text)))

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(vocab_size, 8)

    def forward(self, x):
        return self.emb(x)
