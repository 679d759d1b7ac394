# encoder: 3*8*9 + 8
# decoder: 8*3*9 + 3
# target: same_names.py:encoder

import torch
import torch.nn as nn
import torch.nn.functional as F

encoder = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
decoder = nn.Sequential(nn.Conv2d(8, 3, 3), nn.ReLU())
