# input: 1,3,32,32
# Diffusion: 3*32*9 + 32 + 3*(32*32*9 + 32) + 32*32
# note: channel_mult=[1, 2], num_res_blocks=2
# note: image_size=32, in_channels=3: as the input has it

import torch
import torch.nn as nn
import torch.nn.functional as F
class Diffusion(nn.Module):
    def __init__(self, image_size, in_channels, model_channels, channel_mult, num_res_blocks, dropout):
        super().__init__()
        self.c = nn.ModuleList([nn.Conv2d(in_channels if i == 0 else model_channels, model_channels, 3, padding=1) for i in range(len(channel_mult) * num_res_blocks)])
        self.p = nn.Parameter(torch.zeros(1, 1, image_size, image_size))
    def forward(self, x):
        for c in self.c: x = c(x)
        return x + self.p
