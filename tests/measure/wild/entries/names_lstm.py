# input: 2,16:int64
# Tagger: 1000*64 + 4*64*(64 + 64 + 2) + 64*10 + 10
# note: usual values, guessed

import torch
import torch.nn as nn
import torch.nn.functional as F

class Tagger(nn.Module):
    def __init__(self, vocab_size, embedding_dim, hidden_size, num_classes, pad_idx):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_dim, padding_idx=pad_idx)
        self.lstm = nn.LSTM(embedding_dim, hidden_size, batch_first=True)
        self.out = nn.Linear(hidden_size, num_classes)

    def forward(self, ids):
        return self.out(self.lstm(self.embedding(ids))[0])
