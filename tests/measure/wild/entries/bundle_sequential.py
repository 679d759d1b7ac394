# Sequential: 3*8*9 + 8 + 8*3*9 + 3
# note: the model is `model` of a Submission

import torch
import torch.nn as nn
import torch.nn.functional as F

class Submission:
    def __init__(self):
        self.model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 3, 3))
    def predict(self, image):
        return self.model(image)
