# exit: 0
# input: 1,3,32,32
# UNet: 3*8*9 + 8 + 8*10 + 10
# note: n_classes=10: usual values, guessed
# note: n_channels=3: as the input has it
# note: not measured beside it: "DiceLoss": `unet_and_loss.py:DiceLoss` needs `weight` to be built

import torch
import torch.nn as nn
import torch.nn.functional as F
class UNet(nn.Module):
    def __init__(self, n_channels, n_classes, bilinear=False):
        super().__init__()
        self.a = nn.Conv2d(n_channels, 8, 3, padding=1); self.b = nn.Conv2d(8, n_classes, 1)
    def forward(self, x): return self.b(self.a(x))
class DiceLoss(nn.Module):
    def __init__(self, weight): super().__init__()
    def forward(self, a, b): return (a * b).sum()
