# input: 2,9:int64
# Net: 1000*64
# note: `args` is ModelArgs(dim=64, vocab_size=1000, norm_eps=1e-05) of this file: usual values, guessed

import torch
import torch.nn as nn
import torch.nn.functional as F

from dataclasses import dataclass
@dataclass
class ModelArgs:
    dim: int
    vocab_size: int
    norm_eps: float
    flash: bool = False
class Net(nn.Module):
    def __init__(self, args: ModelArgs):
        super().__init__()
        self.e = nn.Embedding(args.vocab_size, args.dim)
    def forward(self, x):
        return self.e(x)
