# Entry: 3*16*9 + 16 + 16*16*9 + 16 + 16*12*9 + 12
# note: built as at
# note: input 1x3x128x128 (float32) as at

import torch
import torch.nn as nn
import torch.nn.functional as F
class ESA(nn.Module):
    def __init__(self, n_feats, conv):
        super().__init__()
        self.c = conv(n_feats, n_feats, 3, padding=1)
    def forward(self, x): return x * torch.sigmoid(self.c(x))
class Entry(nn.Module):
    def __init__(self, num_in_ch, num_out_ch, feature_channels, upscale):
        super().__init__()
        self.a = nn.Conv2d(num_in_ch, feature_channels, 3, padding=1)
        self.e = ESA(feature_channels, nn.Conv2d)
        self.b = nn.Conv2d(feature_channels, num_out_ch * upscale**2, 3, padding=1)
        self.s = nn.PixelShuffle(upscale)
    def forward(self, x): return self.s(self.b(self.e(self.a(x))))
if __name__ == "__main__":
    import time
    from thop import profile
    torch.backends.cudnn.benchmark = True
    model = Entry(num_in_ch=3, num_out_ch=3, feature_channels=16, upscale=2).cuda()
    model.eval()
    inputs = (torch.rand(1, 3, 128, 128).cuda(),)
    start = torch.cuda.Event(enable_timing=True)
    start.record()
    flops, params = profile(model, inputs=inputs)
    with torch.no_grad():
        out = model(*inputs)
