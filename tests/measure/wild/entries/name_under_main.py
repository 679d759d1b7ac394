# Net: error: `width` is set at name_under_main.py:14 under `__main__`, which was not run; set it above the model, or pass it to the constructor

import torch
import torch.nn as nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.c = nn.Conv2d(3, width, 3)
    def forward(self, x): return self.c(x)

if __name__ == "__main__":
    width = 8
    Net()
