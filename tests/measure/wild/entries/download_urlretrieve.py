# Net: 3*7*9 + 7
# note: pretrained weights were not downloaded, random ones replace them: net.pth

import torch
import torch.nn as nn
import torch.nn.functional as F

import urllib.request
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.c = nn.Conv2d(3, 7, 3)
        urllib.request.urlretrieve("https://example.invalid/net.pth", "net.pth")
        self.load_state_dict(torch.load("net.pth", map_location="cpu"))
    def forward(self, x): return self.c(x)
