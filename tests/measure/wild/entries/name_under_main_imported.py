# Net: error: `math` is imported at name_under_main_imported.py:14 under `__main__`, which was not run; import it at the top of the file

import torch
import torch.nn as nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.c = nn.Conv2d(3, math.floor(8.5), 3)
    def forward(self, x): return self.c(x)

if __name__ == "__main__":
    import math
    Net()
