"""Modules with several inputs or outputs, as a program of its own: TorchScript reads the source of classes."""

from __future__ import annotations

import torch


class Several(torch.nn.Module):
    def forward(self, rows: torch.Tensor, factor: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"product": rows * factor, "total": rows.sum()}


class Pair(torch.nn.Module):
    def forward(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return rows + 1, -rows


class Identity(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


class Twice(torch.nn.Module):
    """Its output's length is an expression."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, -x])
