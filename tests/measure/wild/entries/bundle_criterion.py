# Sequential: 3*8*9 + 8
# note: the model is `0` of a tuple

import torch
import torch.nn as nn
import torch.nn.functional as F

def create():
    return nn.Sequential(nn.Conv2d(3, 8, 3)), nn.CrossEntropyLoss()
