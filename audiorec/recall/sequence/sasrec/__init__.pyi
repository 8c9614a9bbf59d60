from audiorec.recall.sequence.sasrec.channel import SASRec as SASRec
from audiorec.recall.sequence.sasrec.recipe import SASRecRecipe as SASRecRecipe
