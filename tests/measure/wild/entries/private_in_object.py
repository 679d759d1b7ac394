# input: 1,3,32,32
# _Net: 3*5*9 + 5
# no note: here

import torch
import torch.nn as nn
import torch.nn.functional as F
class _Net(nn.Module):
    def __init__(self): 
        super().__init__(); self.c = nn.Conv2d(3, 5, 3)
    def forward(self, x): return self.c(x)
class Model(object):
    """Entry point."""
    def __init__(self):
        self.device = torch.device("cuda")
        self._net = _Net().to(self.device)
        self._net.eval()
    @property
    def model(self): return self._net
    def __call__(self, img):
        return self._net(img.to(self.device)).cpu().numpy()
