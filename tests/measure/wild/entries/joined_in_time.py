# Fusion: 32*32 + 32 + 3*8*(32 + 8) + 2*3*8
# note: inputs `video` 1x16x32 (float32), `audio` 1x16x32 (float32) inferred from Linear `p`
# no note: is a guess

import torch
import torch.nn as nn

class Fusion(nn.Module):
    def __init__(self):
        super().__init__(); self.p = nn.Linear(32, 32); self.g = nn.GRU(32, 8, batch_first=True)
    def forward(self, video, audio):
        batch, steps, features = video.shape
        return self.g(self.p(torch.cat([video, audio], 1)))[0]
