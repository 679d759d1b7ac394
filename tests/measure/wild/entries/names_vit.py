# input: 1,3,32,32
# Net: 3*64*16 + 64 + 64*64 + 2*(4*64*64 + 4*64 + 2*64*256 + 256 + 64 + 4*64) + 64*10 + 10
# note: patch_size=4, num_classes=10, embed_dim=64, depth=2, num_heads=4, mlp_ratio=4.0: usual values, guessed

import torch
import torch.nn as nn
import torch.nn.functional as F
class Net(nn.Module):
    def __init__(self, img_size, patch_size, in_chans, num_classes, embed_dim, depth, num_heads, mlp_ratio):
        super().__init__()
        self.p = nn.Conv2d(in_chans, embed_dim, patch_size, patch_size)
        self.pos = nn.Parameter(torch.zeros(1, (img_size // patch_size) ** 2, embed_dim))
        self.b = nn.ModuleList([nn.TransformerEncoderLayer(embed_dim, num_heads, int(embed_dim * mlp_ratio), batch_first=True) for _ in range(depth)])
        self.h = nn.Linear(embed_dim, num_classes)
    def forward(self, x):
        x = self.p(x).flatten(2).transpose(1, 2) + self.pos
        for b in self.b: x = b(x)
        return self.h(x.mean(1))
