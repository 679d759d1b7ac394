# Gan: error: made a Gan with 2 models; name one: `bundle_two.py:Gan.generator` (Sequential), `bundle_two.py:Gan.critic` (Sequential)

import torch
import torch.nn as nn
import torch.nn.functional as F

class Gan:
    def __init__(self):
        self.generator = nn.Sequential(nn.Conv2d(3, 8, 3))
        self.critic = nn.Sequential(nn.Conv2d(3, 1, 3))
