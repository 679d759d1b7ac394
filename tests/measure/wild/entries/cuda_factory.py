# input: 1,3,32,32
# VGG: 3*4*9 + 4 + 4*7 + 7
# note: no `cuda` here

import torch
import torch.nn as nn
import torch.nn.functional as F
class VGG(nn.Module):
    def __init__(self, features, num_classes):
        super().__init__(); self.features = features; self.c = nn.Linear(4, num_classes)
    def forward(self, x): return self.c(self.features(x).mean((2, 3)))
def layers(cfg):
    return nn.Sequential(*[nn.Conv2d(3, v, 3) for v in cfg])
def vgg(num_classes=7):
    return VGG(layers([4]), num_classes).cuda()
