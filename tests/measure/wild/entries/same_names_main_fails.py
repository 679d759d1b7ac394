# exit: 2
# first: model
# model: error: a linear layer of 99 input features
# Sequential: 3*8*9 + 8

import torch
import torch.nn as nn
import torch.nn.functional as F

model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Linear(99, 3))
loss_net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
