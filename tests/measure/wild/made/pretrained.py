# ResNet: 64*3*7*7 + 64*2 + 4*(64*64*9 + 64*2) + (128*64*9 + 128*128*9 + 128*64 + 3*128*2) + 2*(128*128*9 + 128*2) + (256*128*9 + 256*256*9 + 256*128 + 3*256*2) + 2*(256*256*9 + 256*2) + (512*256*9 + 512*512*9 + 512*256 + 3*512*2) + 2*(512*512*9 + 512*2) + 512*2 + 2
# note: pretrained weights were not downloaded, random ones replace them: resnet18-f37072fd.pth

import torch
import torch.nn as nn
import torch.nn.functional as F
from torchvision import models

def build_model():
    model = models.resnet18(weights=models.ResNet18_Weights.IMAGENET1K_V1)
    model.fc = nn.Linear(model.fc.in_features, 2)
    return model
