from audiorec.recall.sequence.youtube_dnn.channel import YouTubeDNN as YouTubeDNN
from audiorec.recall.sequence.youtube_dnn.model import YouTubeDNNRecipe as YouTubeDNNRecipe
