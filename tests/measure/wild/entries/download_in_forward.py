# Net: error: the forward pass failed at download_in_forward.py:11 on input 1x3x32x32: URLError

import torch
import torch.nn as nn
import torch.nn.functional as F

from urllib.request import urlopen
class Net(nn.Module):
    def __init__(self):
        super().__init__(); self.c = nn.Conv2d(3, 8, 3)
    def forward(self, x): return self.c(x) * len(urlopen("http://127.0.0.1:9/scale").read())
