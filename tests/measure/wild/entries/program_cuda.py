# Net: 3*6*9 + 6
# note: input 2x3x40x48 (float32) as at

import torch
import torch.nn as nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self, a, b):
        super().__init__()
        self.c = nn.Conv2d(a, b, 3, padding=1)
    def forward(self, x):
        return self.c(x)
if __name__ == '__main__':
    model = Net(3, 6).cuda().eval()
    x = torch.rand(2, 3, 40, 48).cuda()
    with torch.no_grad():
        print(model(x).shape)
