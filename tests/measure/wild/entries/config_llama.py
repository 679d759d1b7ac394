# input: 2,16:int64
# Transformer: 2*1000*64 + 2*4*64*64 + 64
# note: `params` is stated by no file; assumed: n_heads=4, n_kv_heads=4
# note: no `cuda` here

import torch
import torch.nn as nn
import torch.nn.functional as F
class RMSNorm(nn.Module):
    def __init__(self, dim, eps):
        super().__init__(); self.w = nn.Parameter(torch.ones(dim)); self.eps = eps
    def forward(self, x): return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.w
class Attention(nn.Module):
    def __init__(self, args):
        super().__init__()
        self.n_heads, self.n_kv_heads = args.n_heads, args.n_kv_heads
        self.head_dim = args.dim // args.n_heads
        self.wq = nn.Linear(args.dim, args.n_heads * self.head_dim, bias=False)
        self.wk = nn.Linear(args.dim, self.n_kv_heads * self.head_dim, bias=False)
        self.wv = nn.Linear(args.dim, self.n_kv_heads * self.head_dim, bias=False)
        self.wo = nn.Linear(args.dim, args.dim, bias=False)
    def forward(self, x):
        B, T, C = x.shape
        f = lambda y: y.view(B, T, -1, self.head_dim).transpose(1, 2)
        y = F.scaled_dot_product_attention(f(self.wq(x)), f(self.wk(x)), f(self.wv(x)), is_causal=True)
        return self.wo(y.transpose(1, 2).reshape(B, T, C))
class Transformer(nn.Module):
    def __init__(self, params):
        super().__init__()
        self.params = params
        self.tok = nn.Embedding(params.vocab_size, params.dim)
        self.layers = nn.ModuleList([Attention(params) for _ in range(params.n_layers)])
        self.norm = RMSNorm(params.dim, eps=params.norm_eps)
        self.out = nn.Linear(params.dim, params.vocab_size, bias=False)
        self.register_buffer("freqs", torch.arange(params.max_seq_len).cuda())
    def forward(self, tokens):
        h = self.tok(tokens)
        for l in self.layers: h = h + l(h)
        return self.out(self.norm(h)).float()
