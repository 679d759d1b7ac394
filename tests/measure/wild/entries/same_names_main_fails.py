# exit: 2
# first: model
# model: error: no usual input size fits
# Sequential: 3*8*9 + 8

import torch
import torch.nn as nn
import torch.nn.functional as F

model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(9, 3, 1))
loss_net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
