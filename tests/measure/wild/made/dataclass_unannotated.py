# GPT: 40*6 + 6*40
# note: `cfg` is ModelArgs() of this file

import torch
import torch.nn as nn
import torch.nn.functional as F
import dataclasses

@dataclasses.dataclass
class ModelArgs:
    vocab: int = 40
    width: int = 6

class GPT(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.tokens = nn.Embedding(cfg.vocab, cfg.width)
        self.head = nn.Linear(cfg.width, cfg.vocab, bias=False)

    def forward(self, ids):
        return self.head(self.tokens(ids))
