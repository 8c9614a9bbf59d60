from audiorec.evaluation.classification import Interval as Interval
from audiorec.evaluation.classification import Report as Report
from audiorec.evaluation.classification import by_song as by_song
from audiorec.evaluation.classification import report as report
from audiorec.evaluation.pictures import draw as draw
from audiorec.evaluation.pictures import draw_trade_off as draw_trade_off
from audiorec.evaluation.pictures import require_figure as require_figure
