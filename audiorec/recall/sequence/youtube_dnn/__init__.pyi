from audiorec.recall.sequence.youtube_dnn.channel import YouTubeDNN as YouTubeDNN
from audiorec.recall.sequence.youtube_dnn.examples import YouTubeDNNRecipe as YouTubeDNNRecipe
