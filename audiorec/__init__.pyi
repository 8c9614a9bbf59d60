from audiorec import errors as errors
from audiorec.extraction.reader import vector as vector
from audiorec.extraction.run import extract as extract
from audiorec.library.dataset import FeatureDataset as FeatureDataset
from audiorec.library.dataset import pad_songs as pad_songs
from audiorec.library.library import duplicates as duplicates
from audiorec.library.library import open_store as open_store
from audiorec.library.library import path as path
from audiorec.library.library import playlist as playlist
from audiorec.library.library import similar as similar
from audiorec.library.readings import classify as classify
from audiorec.library.score_views import scores as scores
from audiorec.library.score_views import taggram as taggram
from audiorec.library.vectorizer import AudioVectorizer as AudioVectorizer

__version__: str
