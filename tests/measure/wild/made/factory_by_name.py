# Sequential: 784*4 + 4
# target: factory_by_name.py:small

import torch
import torch.nn as nn
import torch.nn.functional as F

def small():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 4))

def train():
    for epoch in range(3):
        small()
