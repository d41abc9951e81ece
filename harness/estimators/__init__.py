"""Estimators: scores that predict how well a source does on a target. One file a score."""
