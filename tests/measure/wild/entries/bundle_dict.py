# Sequential: 3*8*9 + 8
# note: the model is `model` of a dict, which is `bundle_dict.py:BUNDLE`

import torch
import torch.nn as nn
import torch.nn.functional as F

BUNDLE = {'model': nn.Sequential(nn.Conv2d(3, 8, 3)), 'tokenizer': None, 'version': 3}
