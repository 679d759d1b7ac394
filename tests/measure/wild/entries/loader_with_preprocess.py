# input: 1,3,32,32
# Sequential: 3*4*9 + 4
# note: the model is `model` of a dict
# note: no `cuda` here: what is moved there stays on the CPU (loader_with_preprocess.py:

import torch
import torch.nn as nn
import torch.nn.functional as F
def load_model(checkpoint=None, device="cuda"):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    if checkpoint: net.load_state_dict(torch.load(checkpoint, map_location=device))
    return {"model": net.to(device), "preprocess": lambda x: x / 255., "name": "tiny"}
