# input: 1,3,64,64
# Net: 3*8*9 + 8 + 8*12*9 + 12
# note: no `cuda` here
# note: the model is `0` of a tuple, which `cuda_builder.py:build` makes

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

def build():
    width = sum(map(len, 'ab cdefgh'.split()))
    net = Net(3, 3, width, upscale=2)
    return net.cuda().eval(), {'name': 'team00', 'scale': 2}
