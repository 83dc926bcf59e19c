"""MSM-MAE's benchmark, and HEAR's interface to our models: `lib.hear` is the module that HEAR's tools are given."""
from lib.hear.api import get_scene_embeddings, get_timestamp_embeddings, load_model

__all__ = ["load_model", "get_scene_embeddings", "get_timestamp_embeddings"]
