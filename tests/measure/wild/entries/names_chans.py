# input: 1,3,48,64
# Net: 3*64*9 + 64 + 64*48*9 + 48
# note: usual values, guessed
# note: as the input has it

import torch
import torch.nn as nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self, in_chans, out_chans, n_feats, upscale_factor):
        super().__init__()
        self.head = nn.Conv2d(in_chans, n_feats, 3, padding=1)
        self.tail = nn.Conv2d(n_feats, out_chans * upscale_factor ** 2, 3, padding=1)
        self.up = nn.PixelShuffle(upscale_factor)

    def forward(self, x):
        return self.up(self.tail(F.relu(self.head(x))))
