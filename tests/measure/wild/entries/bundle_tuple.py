# Sequential: 3*8*9 + 8
# note: the model is `1` of a tuple

import torch
import torch.nn as nn
import torch.nn.functional as F

def get_model():
    return {'team': 'x'}, nn.Sequential(nn.Conv2d(3, 8, 3))
