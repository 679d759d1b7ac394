# input: 1,1,48,48
# Net: 1*64*9 + 64 + 64*16*9 + 16
# note: num_in_ch=1: as the input has it

import torch
import torch.nn as nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self, num_in_ch, num_out_ch, num_feat, upscale):
        super().__init__()
        self.head = nn.Conv2d(num_in_ch, num_feat, 3, padding=1)
        self.tail = nn.Conv2d(num_feat, num_out_ch * upscale ** 2, 3, padding=1)
        self.up = nn.PixelShuffle(upscale)

    def forward(self, x):
        return self.up(self.tail(F.relu(self.head(x))))
