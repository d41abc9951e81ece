"""Backbones: networks that are, or are to be, trained on a source. One file a family."""
