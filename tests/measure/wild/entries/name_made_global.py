# Net: error: `args` is set at name_made_global.py:15 by `main`, which was not run; set it at the top of the file, or pass it to the constructor

import torch
import torch.nn as nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.c = nn.Conv2d(3, args, 3)
    def forward(self, x): return self.c(x)

def main():
    global args
    args = 8
if __name__ == "__main__": main()
