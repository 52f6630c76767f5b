"""Which digit is it? A small convolutional network for pictures of 8 x 8 pixels."""

import torch
from torch import nn


class Digits(nn.Module):
    def __init__(self, channels=16):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(channels, 2 * channels, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(2 * channels * 4 * 4, 10),
        )

    def forward(self, picture):
        """`picture` has a brightness from 0 to 16 for each pixel: shape [n, 8, 8]."""
        return torch.softmax(self.layers(picture.unsqueeze(1) / 16), dim=1)
