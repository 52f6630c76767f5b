"""The network: a handwritten digit of 8 by 8 pixels in, a score for each of ten digits out."""

import torch


class Digits(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))

    def forward(self, pixels):
        return self.layers(pixels)
