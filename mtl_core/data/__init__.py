"""Data sets: made worlds and public files, as rows by split; `tables` turns rows into arrays."""

from mtl_core.data.base import DataError, DatasetOptions, Frames

# The order is the order in which they are taught and listed: made worlds, public files, your own.
from mtl_core.data.conflict import Conflict  # isort: skip
from mtl_core.data.mmoe_synthetic import MMoESynthetic  # isort: skip
from mtl_core.data.funnel import Funnel  # isort: skip
from mtl_core.data.video_feed import VideoFeed  # isort: skip
from mtl_core.data.ecommerce_sequences import EcommerceSequences  # isort: skip
from mtl_core.data.adult import Adult  # isort: skip
from mtl_core.data.census_income import CensusIncome  # isort: skip
from mtl_core.data.movielens import MovieLens  # isort: skip
from mtl_core.data.ali_ccp import AliCCP  # isort: skip
from mtl_core.data.table import Table  # isort: skip

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
