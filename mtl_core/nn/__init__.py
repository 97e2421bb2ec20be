"""The torch modules. Everything outside this package, `engine`, `train`, `losses`, `metrics` and `probes`
imports without torch.

Suffixes of tensor names: B rows of a batch, D input columns, S input streams, E experts, G gates, H columns of a
representation, K tasks, F numeric features, C categorical features.
"""
