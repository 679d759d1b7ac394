# GPT: 60*6 + 6*60
# note: `opt` is the defaults of the argument parser of this file

import torch
import torch.nn as nn
import torch.nn.functional as F
import argparse

class GPT(nn.Module):
    def __init__(self, opt):
        super().__init__()
        self.tokens = nn.Embedding(opt.vocab, opt.width)
        self.head = nn.Linear(opt.width, opt.vocab, bias=False)

    def forward(self, ids):
        return self.head(self.tokens(ids))

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--vocab", type=int, default=60)
    parser.add_argument("--width", type=int, default=3 * 2)
    parser.add_argument("--out", required=True)
    GPT(parser.parse_args())
