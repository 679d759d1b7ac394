# Net: 3*10*9 + 10
# note: input 4x3x32x32 (float32) as at
# note: `Net(3, 10)`

import torch
import torch.nn as nn
import torch.nn.functional as F
def test():
    net = Net(3, 10)
    y = net(torch.randn(4, 3, 32, 32))
    print(y.size())
class Net(nn.Module):
    def __init__(self, cin, n):
        super().__init__(); self.c = nn.Conv2d(cin, n, 3)
    def forward(self, x): return self.c(x)
if __name__ == "__main__":
    test()
