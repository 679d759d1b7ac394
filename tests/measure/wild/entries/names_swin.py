# input: 1,3,64,64
# SwinLike: 3*64*9 + 64 + 64*64*64 + 2*(64*64*3 + 64*3) + 64*3*9 + 3
# note: img_size=64, in_chans=3: as the input has it
# note: depths=[2, 2], num_heads=[4, 4], window_size=8

import torch
import torch.nn as nn
import torch.nn.functional as F

class SwinLike(nn.Module):
    def __init__(self, img_size, in_chans, embed_dim, depths, num_heads, window_size):
        super().__init__()
        assert img_size % window_size == 0 and embed_dim % num_heads[0] == 0
        self.embed = nn.Conv2d(in_chans, embed_dim, 3, padding=1)
        self.position = nn.Parameter(torch.zeros(1, embed_dim, img_size, img_size))
        self.qkv = nn.ModuleList(nn.Linear(embed_dim, 3 * embed_dim) for _ in depths)
        self.last = nn.Conv2d(embed_dim, in_chans, 3, padding=1)

    def forward(self, x):
        y = self.embed(x) + self.position
        for qkv in self.qkv:
            q, k, v = qkv(y.permute(0, 2, 3, 1)).chunk(3, -1)
            y = y + (q * k * v).permute(0, 3, 1, 2)
        return self.last(y)
