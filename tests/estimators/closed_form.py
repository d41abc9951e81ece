"""Inputs given by closed formulas, on which published implementations were run; and random ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.estimators import Inputs


@dataclass(frozen=True)
class Arrays:
    """Features [N, D], labels [N], logits and their softmax [N, Cs]."""

    features: np.ndarray
    labels: np.ndarray
    logits: np.ndarray
    probabilities: np.ndarray

    @property
    def source(self) -> np.ndarray:
        """Features of made-up examples of the source: 1.25 x every second row + 0.1."""
        return 1.25 * self.features[::2] + 0.1

    def inputs(self) -> Inputs:
        """All of it."""
        return Inputs(
            features=self.features,
            labels=self.labels,
            source_logits=self.logits,
            source_probabilities=self.probabilities,
            source_features=self.source,
        )


def closed_form(n: int = 300, d: int = 80, c: int = 5, cs: int = 7) -> Arrays:
    """y_i = floor((i^2 + 3 i) / 7) mod C, and features and logits of sines that lean on y."""
    i, j, z = np.arange(n)[:, None], np.arange(d), np.arange(cs)
    labels = ((i**2 + 3 * i) // 7 % c)[:, 0]
    own = j % c == labels[:, None]
    features = np.sin(0.7 * i + 1.3 * j + 0.01 * i * j) + np.cos(0.11 * i * j + 0.37 * j**2) + 0.6 * own
    logits = 2 * np.sin(0.9 * i * (z + 1) + 0.3 * z**2) + 1.2 * (z % c == labels[:, None])
    return Arrays(features, labels, logits, softmax(logits))


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def random_inputs(seed: int, n: int = 40, d: int = 6, c: int = 3, cs: int = 5, apart: float = 1.0) -> Arrays:
    """Gaussian classes of different sizes around random means; each class has an example."""
    draw = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(c), draw.choice(c, n - c, p=draw.dirichlet(np.full(c, 3.0)))])
    labels = draw.permutation(labels)
    means = apart * draw.normal(size=(c, d))
    features = means[labels] + draw.normal(size=(n, d)) * draw.uniform(0.5, 1.5, size=d) + draw.normal(size=d)
    logits = draw.normal(size=(n, cs)) + apart * draw.normal(size=(c, cs))[labels]
    return Arrays(features, labels, logits, softmax(logits))
