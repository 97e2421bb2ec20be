"""Data sets: made worlds and public files, as rows by split; `tables` turns rows into arrays."""

from mtl_core.data.adult import Adult
from mtl_core.data.ali_ccp import AliCCP
from mtl_core.data.base import DataError, DatasetOptions, Frames
from mtl_core.data.census_income import CensusIncome
from mtl_core.data.conflict import Conflict
from mtl_core.data.ecommerce_sequences import EcommerceSequences
from mtl_core.data.funnel import Funnel
from mtl_core.data.mmoe_synthetic import MMoESynthetic
from mtl_core.data.movielens import MovieLens
from mtl_core.data.table import Table
from mtl_core.data.video_feed import VideoFeed

__all__ = [
    "Adult",
    "AliCCP",
    "CensusIncome",
    "Conflict",
    "DataError",
    "DatasetOptions",
    "EcommerceSequences",
    "Frames",
    "Funnel",
    "MMoESynthetic",
    "MovieLens",
    "Table",
    "VideoFeed",
]
