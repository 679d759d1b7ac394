# input: 1,3,32,32
# Net: 3*6*9 + 6
# note: no `cuda` here

import torch
import torch.nn as nn
import torch.nn.functional as F
class Net(nn.Module):
    def __init__(self, channels=3):
        super().__init__(); self.c = nn.Conv2d(channels, 6, 3); self.register_buffer("k", torch.ones(6).pin_memory())
    def forward(self, x):
        s = torch.cuda.Stream()
        with torch.cuda.stream(s):
            y = self.c(x.pin_memory().to("cuda", non_blocking=True))
        torch.cuda.current_stream().wait_stream(s)
        return y * self.k.view(1, -1, 1, 1)
