from audiorec.recall.interests.channel import MIND as MIND
from audiorec.recall.interests.channel import ComiRecSA as ComiRecSA
from audiorec.recall.interests.channel import SeveralInterests as SeveralInterests
from audiorec.recall.interests.forward import ComiRecSARecipe as ComiRecSARecipe
from audiorec.recall.interests.forward import MINDRecipe as MINDRecipe
