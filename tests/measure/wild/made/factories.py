# resnet2: 3*4*9 + 4 + 2*4*4*9 + 4*10 + 10
# resnet4: 3*4*9 + 4 + 4*4*4*9 + 4*10 + 10
# target: factories.py:resnet2
# target: factories.py:resnet4

import torch
import torch.nn as nn
import torch.nn.functional as F

class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1, bias=False)

    def forward(self, x):
        return F.relu(x + self.conv(x))

class ResNet(nn.Module):
    def __init__(self, block, counts):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.body = nn.Sequential(*(block(4) for _ in range(sum(counts))))
        self.fc = nn.Linear(4, 10)

    def forward(self, x):
        return self.fc(self.body(self.stem(x)).mean((2, 3)))

def resnet2():
    return ResNet(Block, [1, 1])

def resnet4(pretrained=False):
    model = ResNet(Block, [2, 2])
    return model
