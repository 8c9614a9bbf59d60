from audiorec.labelling.songs import LabelledFeatures as LabelledFeatures
from audiorec.labelling.songs import evaluate_head as evaluate_head
from audiorec.labelling.songs import labelled_features as labelled_features
from audiorec.labelling.songs import read_labels as read_labels
from audiorec.labelling.songs import train_from_labels as train_from_labels
from audiorec.labelling.train import HeadRecipe as HeadRecipe
from audiorec.labelling.train import TrainedHead as TrainedHead
from audiorec.labelling.train import train_head as train_head
