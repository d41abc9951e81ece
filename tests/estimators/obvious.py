"""Each score once more, straight from its published formula: slow, plain, and by another way than the package goes.

Arguments are features [N, D], labels [N] in 0..C-1, probabilities or logits [N, Cs]. Also what speed is measured
against, since these are the sizes of matrices and loops that the formulas, and most released codes, ask for.
"""

from __future__ import annotations

import math

import numpy as np
import scipy.linalg
import scipy.optimize
import scipy.special
import scipy.stats
from scipy.spatial import cKDTree
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.mixture import GaussianMixture

Array = np.ndarray


def nce(probabilities: Array, labels: Array) -> float:
    predicted = probabilities.argmax(axis=1)
    total = 0.0
    for z in np.unique(predicted):
        for y in np.unique(labels):
            joint = np.mean((predicted == z) & (labels == y))
            if joint:
                total += joint * math.log(joint / np.mean(predicted == z))
    return total


def empirical(probabilities: Array, labels: Array) -> Array:
    """p(y|x) [N, C]."""
    onehot = np.eye(labels.max() + 1)[labels]
    joint = onehot.T @ probabilities / len(labels)
    return probabilities @ (joint / joint.sum(axis=0)).T


def leep(probabilities: Array, labels: Array, variant: str = "exact") -> float:
    own = empirical(probabilities, labels)[np.arange(len(labels)), labels]
    return float(own.mean() if variant == "released" else np.log(own).mean())


def nleep(features: Array, labels: Array, components: int, seed: int = 0) -> float:
    low = PCA(n_components=0.8, svd_solver="full").fit_transform(features)
    mixture = GaussianMixture(n_components=components, random_state=seed).fit(low)
    return leep(mixture.predict_proba(low), labels)


def logme_evidence(features: Array, target: Array, alpha: float, beta: float) -> float:
    """Log marginal likelihood of y ~ N(0, I / beta + F F^T / alpha), of all examples together."""
    covariance = np.eye(len(target)) / beta + features @ features.T / alpha
    return float(scipy.stats.multivariate_normal(np.zeros(len(target)), covariance).logpdf(target))


def logme_released(features: Array, labels: Array) -> float:
    """The updates one class at a time, on the whole orthogonal basis of the features."""
    n, d = features.shape
    if n > d:
        _, sigma, axes = np.linalg.svd(features.T @ features)
        u = features @ axes.T / np.sqrt(sigma)
    else:
        u, spread, _ = np.linalg.svd(features, full_matrices=False)
        sigma = spread**2
    found = []
    for label in range(labels.max() + 1):
        y = (labels == label).astype(float)
        x2 = (u.T @ y) ** 2
        rest = (y**2).sum() - x2.sum()
        alpha = beta = 1.0
        for _ in range(11):
            t = alpha / beta
            gamma = (sigma / (sigma + t)).sum()
            m2 = (sigma * x2 / (t + sigma) ** 2).sum()
            r2 = (x2 / (1 + sigma / t) ** 2).sum() + rest
            alpha, beta = gamma / (m2 + 1e-5), (n - gamma) / (r2 + 1e-5)
            if abs(alpha / beta - t) / t <= 1e-3:
                break
        found.append(
            d / 2 * math.log(alpha)
            + n / 2 * math.log(beta)
            - np.log(alpha + beta * sigma).sum() / 2
            - beta * r2 / 2
            - alpha * m2 / 2
            - n / 2 * math.log(2 * math.pi)
        )
    return float(np.mean(found)) / n


def class_mean_rows(features: Array, labels: Array) -> Array:
    means = np.zeros_like(features)
    for label in range(labels.max() + 1):
        means[labels == label] = features[labels == label].mean(axis=0)
    return means


def h_score(features: Array, labels: Array) -> float:
    between = np.cov(class_mean_rows(features, labels), rowvar=False)
    return float(np.trace(np.linalg.pinv(np.cov(features, rowvar=False), rcond=1e-13) @ between))


def h_score_released(features: Array, labels: Array) -> float:
    inverse = np.linalg.pinv(np.cov(features, rowvar=False), rcond=1e-5)
    return float(np.trace(inverse * np.cov(class_mean_rows(features, labels), rowvar=False)))


def h_score_regularised(features: Array, labels: Array) -> float:
    shrunk = LedoitWolf().fit(features)
    between = np.cov(class_mean_rows(features, labels), rowvar=False)
    return float((1 - shrunk.shrinkage_) * np.trace(np.linalg.pinv(shrunk.covariance_) @ between))


def coding_rate(rows: Array, distortion: float) -> float:
    size = len(rows) * distortion
    return float(np.linalg.slogdet(np.eye(rows.shape[1]) + rows.T @ rows / size)[1]) / 2


def transrate(features: Array, labels: Array, distortion: float = 1e-4) -> float:
    centred = features - features.mean(axis=0)
    parts = [coding_rate(centred[labels == label], distortion) for label in range(labels.max() + 1)]
    return coding_rate(centred, distortion) - float(np.mean(parts))


def bhattacharyya(mean: Array, covariance: Array, other_mean: Array, other: Array) -> float:
    middle = (covariance + other) / 2
    apart = mean - other_mean
    logs = [np.linalg.slogdet(one)[1] for one in (middle, covariance, other)]
    return float(apart @ np.linalg.solve(middle, apart) / 8 + (logs[0] - (logs[1] + logs[2]) / 2) / 2)


def gbc(features: Array, labels: Array, covariance: str = "spherical", floor: float = 1e-4) -> float:
    """Every Gaussian as a full covariance matrix, every ordered pair on its own."""
    gaussians = []
    for label in range(labels.max() + 1):
        rows = features[labels == label]
        variances = np.maximum(rows.var(axis=0), floor)
        if covariance == "full":
            matrix = np.cov(rows.T, bias=True).reshape(features.shape[1], -1) + floor * np.eye(features.shape[1])
        else:
            matrix = np.diag(np.full_like(variances, variances.mean()) if covariance == "spherical" else variances)
        gaussians.append((rows.mean(axis=0), matrix))
    pairs = [(one, other) for one in range(len(gaussians)) for other in range(len(gaussians)) if one != other]
    return -sum(math.exp(-bhattacharyya(*gaussians[one], *gaussians[other])) for one, other in pairs)


def gbc_spherical(features: Array, labels: Array, floor: float = 1e-4) -> float:
    """The spherical score pair by pair, as a loop over ordered pairs of classes."""
    classes = labels.max() + 1
    means = [features[labels == label].mean(axis=0) for label in range(classes)]
    levels = [np.maximum(features[labels == label].var(axis=0), floor).mean() for label in range(classes)]
    total, width = 0.0, features.shape[1]
    for one in range(classes):
        for other in range(classes):
            if one != other:
                middle = (levels[one] + levels[other]) / 2
                logs = math.log(middle) - (math.log(levels[one]) + math.log(levels[other])) / 2
                total += math.exp(-(((means[one] - means[other]) ** 2).sum() / middle / 8 + width * logs / 2))
    return -total


def gbc_diagonal(features: Array, labels: Array, floor: float = 1e-4) -> float:
    """The diagonal score pair by pair, as a loop over ordered pairs of classes."""
    classes = labels.max() + 1
    means = [features[labels == label].mean(axis=0) for label in range(classes)]
    variances = [np.maximum(features[labels == label].var(axis=0), floor) for label in range(classes)]
    total = 0.0
    for one in range(classes):
        for other in range(classes):
            if one != other:
                middle = (variances[one] + variances[other]) / 2
                logs = np.log(middle).sum() - (np.log(variances[one]).sum() + np.log(variances[other]).sum()) / 2
                total += math.exp(-(((means[one] - means[other]) ** 2 / middle).sum() / 8 + logs / 2))
    return -total


def parc(features: Array, labels: Array, dims: int | None = None) -> float:
    low = features if dims is None else PCA(n_components=dims, svd_solver="full").fit_transform(features)
    low = (low - low.mean(axis=0)) / low.std(axis=0)
    pairs = np.triu_indices(len(low), 1)
    apart = (1 - np.corrcoef(low))[pairs]
    differ = (labels[:, None] != labels[None])[pairs]
    return 100 * float(scipy.stats.spearmanr(apart, differ)[0])


def shrunk(matrix: Array, shrinkage: float) -> Array:
    return (1 - shrinkage) * matrix + shrinkage * np.trace(matrix) / len(matrix) * np.eye(len(matrix))


def within(features: Array, labels: Array) -> Array:
    parts = [features[labels == label] for label in range(labels.max() + 1)]
    return sum(len(rows) / len(labels) * np.cov(rows.T, bias=True).reshape(features.shape[1], -1) for rows in parts)


def discriminant(features: Array, labels: Array, shrinkage: float) -> Array:
    """Posteriors [N, C] by the generalised eigenproblem of the paper."""
    means = np.stack([features[labels == label].mean(axis=0) for label in range(labels.max() + 1)])
    own = shrunk(within(features, labels), shrinkage)
    between = shrunk(np.cov(features.T, bias=True), shrinkage) - own
    _, axes = scipy.linalg.eigh(between, own)
    weights = means @ axes @ axes.T
    scores = features @ weights.T - np.diag(means @ weights.T) / 2 + np.log(np.bincount(labels) / len(labels))
    return scipy.special.softmax(scores, axis=1)


def sfda(features: Array, labels: Array) -> float:
    shrinkage = max(math.exp(-5 * np.linalg.eigvalsh(within(features, labels))[-1]), 1e-10)
    own = np.arange(len(labels)), labels
    confidence = scipy.special.softmax(discriminant(features, labels, shrinkage), axis=1)[own]
    means = np.stack([features[labels == label].mean(axis=0) for label in range(labels.max() + 1)])
    others = np.stack([np.delete(means, label, axis=0).mean(axis=0) for label in range(len(means))])
    mixed = confidence[:, None] * features + (1 - confidence)[:, None] * others[labels]
    return float(discriminant(mixed, labels, shrinkage)[own].mean())


def etran_discriminant(features: Array, labels: Array) -> float:
    shrinkage = max(math.exp(-5 * np.linalg.eigvalsh(within(features, labels))[-1]), 1e-10)
    return float(discriminant(features, labels, shrinkage)[np.arange(len(labels)), labels].mean())


def etran_energy(logits: Array, fraction: float = 0.005) -> float:
    energies = sorted(math.log(sum(math.exp(value) for value in row)) for row in logits)
    return float(np.mean(energies[: max(1, math.floor(fraction * len(energies)))]))


def ncti(features: Array, labels: Array, dims: int = 64) -> tuple[float, float, float]:
    pca = PCA(n_components=min(dims, *features.shape), svd_solver="full")
    low = pca.fit_transform(features)
    strength = max(math.exp(-pca.explained_variance_[:32].sum()), 1e-10)
    if strength == 1e-10:
        analysis = LinearDiscriminantAnalysis(solver="svd")
    else:
        analysis = LinearDiscriminantAnalysis(solver="eigen", shrinkage=strength)
    projected = analysis.fit_transform(low, labels)
    posteriors = analysis.predict_proba(low)
    norms = [np.linalg.svd(posteriors[labels == label])[1].sum() for label in range(labels.max() + 1)]
    first = np.linalg.svd(projected - projected.mean(axis=0))[1].sum()
    return float(first), float(posteriors[np.arange(len(labels)), labels].mean()), math.log(sum(norms))


def ped_step(
    features: Array, labels: Array, source: Array, step: float = 0.1, reach: float = 0.6
) -> tuple[Array, Array]:
    """Moved features and the moves of the classes in standardised features, pair by pair with all three tensors."""
    centre, spread = source.mean(axis=0), np.maximum(source.std(axis=0), 1e-3)
    scaled = (features - centre) / spread
    classes = range(labels.max() + 1)
    means = np.stack([scaled[labels == label].mean(axis=0) for label in classes])
    radii = np.sqrt(np.stack([scaled[labels == label].var(axis=0) for label in classes]).sum(axis=1))
    apart = means[:, None] - means[None]
    lengths = np.sqrt((apart**2).sum(axis=2))
    overlap = np.maximum(reach * (radii[:, None] + radii) - lengths, 0)
    np.fill_diagonal(lengths, 1)
    shift = (np.minimum(step**2 / 2 * overlap, overlap) / lengths)[:, :, None] * apart
    moves = shift.sum(axis=1)
    return (scaled + moves[labels]) * spread + centre, moves


def ped_features(features: Array, labels: Array, source: Array, exit_ratio: float = 0.5) -> Array:
    first = None
    for _ in range(6):
        moved, moves = ped_step(features, labels, source)
        size = np.abs(moves).sum()
        first = size if first is None else first
        if not size or size / first <= exit_ratio:
            break
        features = moved
    return features


def entropy(rows: Array, k: int, least: float) -> float:
    distances = cKDTree(rows).query(rows, k + 1, p=np.inf)[0][:, -1]
    logs = np.log(2 * np.maximum(distances, least))
    return float(scipy.special.digamma(len(rows)) - scipy.special.digamma(k) + rows.shape[1] * logs.mean())


def tmi(features: Array, labels: Array, k: int = 3, least: float = 1.0) -> float:
    counts = np.bincount(labels)
    kept = [label for label in range(len(counts)) if counts[label] > k]
    total = sum(counts[label] for label in kept)
    return sum(counts[label] / total * entropy(features[labels == label], k, least) for label in kept)


def lfc(features: Array, labels: Array) -> float:
    """The correlation of the entries of two N x N matrices."""
    agree = np.where(labels[:, None] == labels[None], 1.0, -1.0)
    return float(np.corrcoef((features @ features.T).ravel(), agree.ravel())[0, 1])


def emms(features: Array, embeddings: Array, alternations: int = 1) -> float:
    scaled = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-8)
    targets = (embeddings - embeddings.mean(axis=0)) / (embeddings.std(axis=0) + 1e-8)
    kinds = targets.shape[2]
    mix = targets.mean(axis=2)
    for _ in range(alternations):
        fitted = scaled @ np.linalg.lstsq(scaled, mix, rcond=None)[0]
        mix = targets @ nearest_on_simplex(np.linalg.lstsq(targets.reshape(-1, kinds), fitted.ravel(), rcond=None)[0])
    return -float(((fitted - mix) ** 2).mean())


def nearest_on_simplex(point: Array) -> Array:
    return scipy.optimize.minimize(
        lambda other: ((other - point) ** 2).sum(),
        np.full(len(point), 1 / len(point)),
        bounds=[(0, None)] * len(point),
        constraints={"type": "eq", "fun": lambda other: other.sum() - 1},
        options={"ftol": 1e-15},
    ).x


def pactran(features: Array, labels: Array, strength: float = 1.0, prior: float = 100.0) -> float:
    """By another minimiser, and second derivatives one weight at a time."""
    n, d = features.shape
    centred, classes = features - features.mean(axis=0), labels.max() + 1
    scale = strength * n

    def objective(flat: Array) -> float:
        weights, biases = flat[: d * classes].reshape(d, classes), flat[d * classes :]
        logs = scipy.special.log_softmax(centred @ weights + biases, axis=1)
        return float(-logs[np.arange(n), labels].mean() + (weights**2).sum() / (2 * scale))

    best = scipy.optimize.minimize(
        objective, np.zeros((d + 1) * classes), method="BFGS", options={"gtol": 1e-8, "maxiter": 5000}
    ).x
    weights, biases = best[: d * classes].reshape(d, classes), best[d * classes :]
    probabilities = scipy.special.softmax(centred @ weights + biases, axis=1)
    trace = 0.0
    for j in range(d):
        for label in range(classes):
            trace += float((centred[:, j] ** 2 * probabilities[:, label] * (1 - probabilities[:, label])).mean())
    spread = prior * strength / d
    return -(objective(best) + d * classes * spread / (2 * scale) * math.log(1 + scale / (d * classes) * trace))
