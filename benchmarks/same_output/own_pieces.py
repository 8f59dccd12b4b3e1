"""The text of the module that jobs import their own functions and classes from."""

from __future__ import annotations

PIECES = '''
"""What jobs name by an import path."""

import numpy as np
import torch
from torch import nn

from streamreplay import OnlineSelectionStrategy
from streamreplay.learners import Method


def focal(step):
    log_p = -nn.functional.cross_entropy(step.masked, step.y, ignore_index=-1, reduction="none")
    return ((1 - log_p.exp()) ** 2 * -log_p).mean()


def entropy(step):
    p = torch.softmax(step.masked[: step.n], 1)
    return {"entropy": -(p * p.clamp(min=1e-9).log()).sum(1)}


def unsure(learner, incoming, candidates, k):
    return np.argsort(-np.nan_to_num(candidates.notes["entropy"]), kind="stable")[:k]


def mine():
    return Method(focal, notes=entropy, retrieve=unsure)


def faulty(*_):
    raise KeyError("a")


class Newest(OnlineSelectionStrategy):
    def make_keys(self, rows, uniform):
        return -rows.t.astype(np.float64)


def newest(learner):
    return Newest()


def bayes():
    from river import naive_bayes

    return naive_bayes.GaussianNB()


def shaken(x, y):
    return torch.where((y == 0)[:, None], x + 0.1 * torch.randn_like(x), x)


def halving(step):
    return 0.5 ** (step // 100)


def backbone(shape):
    features = int(np.prod(shape))
    layer = nn.Linear(features, 6, bias=False)
    weights = torch.arange(6.0 * features).reshape(6, features).sin()
    layer.load_state_dict({"weight": weights})
    return nn.Sequential(nn.Flatten(), layer, nn.BatchNorm1d(6), nn.ReLU())


def net(shape, n):
    features = int(np.prod(shape))
    return nn.Sequential(nn.Flatten(), nn.Linear(features, 9), nn.GELU(), nn.Linear(9, n))


def dropping(shape, n):
    features = int(np.prod(shape))
    layers = [nn.Linear(features, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Dropout(0.3)]
    return nn.Sequential(nn.Flatten(), *layers, nn.Linear(9, n))


def frozen(shape, n):
    features = int(np.prod(shape))
    base = nn.Sequential(nn.Flatten(), nn.Linear(features, 6), nn.BatchNorm1d(6))
    return nn.Sequential(base.requires_grad_(False), nn.Linear(6, n))
'''
