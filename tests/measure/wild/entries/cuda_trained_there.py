# input: 1,3,64,64
# Net: 3*8*9 + 8 + 8*12*9 + 12
# note: it trains when it is imported
# note: no `cuda` here

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

net = Net(3, 3, 8, 2).cuda()
for epoch in range(100):
    loss = net(torch.randn(1, 3, 8, 8).cuda()).mean()
    loss.backward()
