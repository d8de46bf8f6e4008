"""Means, variances and extremes over the trajectories of an ensemble, chunk by chunk."""

import numpy as np


def sums(path_x, path_f):
    """Of a chunk's paths (N, R, n) and (N, R), at each record: the count of the finite, mean of x and sum of its
    squared deviations; sum, least and largest of f."""
    good = np.isfinite(path_f) & np.isfinite(path_x).all(axis=2)
    count = good.sum(axis=0)
    x, f = np.where(good[:, :, None], path_x, 0.0), np.where(good, path_f, 0.0)
    with np.errstate(all="ignore"):
        mean = x.sum(axis=0) / count[:, None]
        square = (np.where(good[:, :, None], path_x - mean, 0.0) ** 2).sum(axis=0)
        return (count, np.where(count[:, None] > 0, mean, 0.0), square, f.sum(axis=0),
                np.where(good, path_f, np.inf).min(axis=0), np.where(good, path_f, -np.inf).max(axis=0))


def merged(parts, records, n):
    """Mean, variance and extremes from the sums of several chunks (Chan, Golub, LeVeque 1983)."""
    none = np.zeros(records, int), np.zeros((records, n)), np.zeros((records, n)), np.zeros(records)
    count, mean, square, total, low, high = parts[0] if parts else (*none, *np.full((2, records), np.nan))
    with np.errstate(all="ignore"):  # values near overflow, records without a finite one
        for other in parts[1:]:
            both = count + other[0]
            share = np.divide(other[0], both, out=np.zeros(both.shape), where=both > 0)[:, None]
            shift = other[1] - mean
            square = square + other[2] + shift**2 * count[:, None] * share
            mean, count, total = mean + shift * share, both, total + other[3]
            low, high = np.minimum(low, other[4]), np.maximum(high, other[5])
        return {"count": count, "mean_x": np.where(count[:, None] > 0, mean, np.nan),
                "var_x": square / count[:, None], "mean_f": total / count, "min_f": low, "max_f": high}
