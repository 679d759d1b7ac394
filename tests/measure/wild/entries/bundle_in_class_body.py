# input: 1,3,32,32
# Sequential: 3*4*9 + 4
# note: the model is `model` of an Entry, which `bundle_in_class_body.py:Entry` makes

import torch
import torch.nn as nn

class Entry:
    model = nn.Sequential(nn.Conv2d(3, 4, 3))

    def predict(self, x):
        return self.model(x)
