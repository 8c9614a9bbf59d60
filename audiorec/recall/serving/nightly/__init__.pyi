from audiorec.recall.serving.nightly.job import NightlyJob as NightlyJob
from audiorec.recall.serving.nightly.judged import fused_below as fused_below
from audiorec.recall.serving.nightly.places import Night as Night
from audiorec.recall.serving.nightly.places import open_night as open_night
from audiorec.recall.serving.nightly.plan import NightlyPlan as NightlyPlan
from audiorec.recall.serving.nightly.plan import file_stem as file_stem
from audiorec.recall.serving.nightly.report import report_of as report_of
from audiorec.recall.serving.nightly.state import Step as Step
