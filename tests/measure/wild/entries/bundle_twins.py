# entry: error: made a tuple with 2 models; name one: `bundle_twins.py:entry.0` (Sequential), `bundle_twins.py:entry.1` (Sequential)

import torch
import torch.nn as nn
import torch.nn.functional as F
def entry():
    net, ema = nn.Sequential(nn.Conv2d(3, 4, 3)), nn.Sequential(nn.Conv2d(3, 4, 3))
    return net, ema
