from audiorec.recall.serving.export.job import ExportRecipe as ExportRecipe
from audiorec.recall.serving.export.job import ExportReport as ExportReport
from audiorec.recall.serving.export.job import export_recall as export_recall
from audiorec.recall.serving.export.sources import ExportSources as ExportSources
