from audiorec.recall.interests.channel import SeveralInterests as SeveralInterests
from audiorec.recall.interests.comirec_sa import ComiRecSA as ComiRecSA
from audiorec.recall.interests.mind import MIND as MIND
from audiorec.recall.interests.recipe import ComiRecSARecipe as ComiRecSARecipe
from audiorec.recall.interests.recipe import MINDRecipe as MINDRecipe
