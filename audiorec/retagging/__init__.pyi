from audiorec.retagging.formats import WRITABLE as WRITABLE
from audiorec.retagging.job import Retagged as Retagged
from audiorec.retagging.job import Retagging as Retagging
from audiorec.retagging.job import described as described
from audiorec.retagging.job import retag as retag
from audiorec.retagging.undo_job import restore as restore
from audiorec.retagging.wanted import FIELDS as FIELDS
