# Layer: 4*(32*32 + 32) + 32*64 + 64 + 64*32 + 32 + 4*32

import torch
import torch.nn as nn
import torch.nn.functional as F

class Layer(nn.TransformerEncoderLayer):
    def __init__(self):
        super().__init__(d_model=32, nhead=4, dim_feedforward=64, batch_first=True)
