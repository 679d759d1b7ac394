# input: 2,16:int64
# GPT: 1000*64 + 128*64 + 64*1000
# note: vocab_size=1000

import torch
import torch.nn as nn
import torch.nn.functional as F

class GPT(nn.Module):
    def __init__(self, vocab_size, block_size, n_embd, n_head):
        super().__init__()
        self.tokens = nn.Embedding(vocab_size, n_embd)
        self.positions = nn.Embedding(block_size, n_embd)
        self.head = nn.Linear(n_embd, vocab_size, bias=False)

    def forward(self, ids):
        return self.head(self.tokens(ids) + self.positions(torch.arange(ids.shape[1])))
