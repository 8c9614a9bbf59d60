from audiorec.recall.sequence.sasrec.channel import SASRec as SASRec
from audiorec.recall.sequence.sasrec.forward import SASRecRecipe as SASRecRecipe
