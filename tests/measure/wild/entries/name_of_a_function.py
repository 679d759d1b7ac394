# Net: error: `width` is set at name_of_a_function.py:14 only inside of `main`; set it above the model, or pass it to the constructor

import torch
import torch.nn as nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.c = nn.Conv2d(3, width, 3)
    def forward(self, x): return self.c(x)

def main():
    width = 8
    return Net()
