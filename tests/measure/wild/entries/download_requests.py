# Net: error: connects to the network when it is built at download_requests.py:12 (`requests.get('http://127.0.0.1:9/net.pth')`), which a report does not let it do; let it be built without that

import torch
import torch.nn as nn
import torch.nn.functional as F

import requests
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.c = nn.Conv2d(3, 8, 3)
        requests.get("http://127.0.0.1:9/net.pth")
    def forward(self, x): return self.c(x)
