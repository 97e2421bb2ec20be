"""Encoders: features in, streams x_SBD out (S streams of B rows and D columns). One file each."""

from mtl_core.encoders.base import EmbeddingSharing, EncoderOptions
from mtl_core.encoders.embedding import Embedding

__all__ = ["Embedding", "EmbeddingSharing", "EncoderOptions"]
