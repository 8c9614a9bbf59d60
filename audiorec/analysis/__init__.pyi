from audiorec.analysis.job import Correlations as Correlations
from audiorec.analysis.job import CorrelationSpec as CorrelationSpec
from audiorec.analysis.job import correlate as correlate
from audiorec.analysis.job import embedding_units as embedding_units
from audiorec.analysis.report import check_picture as check_picture
from audiorec.analysis.report import summary as summary
from audiorec.analysis.report import write_correlations as write_correlations
from audiorec.analysis.report import write_picture as write_picture
