"""Encoders: features in, streams x_SBD out (S streams of B rows and D columns). One file each."""

from mtl_core.encoders.base import EmbeddingSharing, EncoderOptions
from mtl_core.encoders.behaviour_sequence import BehaviourSequence
from mtl_core.encoders.embedding import Embedding, EmbeddingOptions
from mtl_core.encoders.missing_value import MissingValue
from mtl_core.encoders.nfwfm import NFwFM

__all__ = [
    "BehaviourSequence",
    "Embedding",
    "EmbeddingOptions",
    "EmbeddingSharing",
    "EncoderOptions",
    "MissingValue",
    "NFwFM",
]
