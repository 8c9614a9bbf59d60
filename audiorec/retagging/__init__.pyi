from audiorec.retagging.formats import WRITABLE as WRITABLE
from audiorec.retagging.job import FIELDS as FIELDS
from audiorec.retagging.job import Retagged as Retagged
from audiorec.retagging.job import Retagging as Retagging
from audiorec.retagging.job import described as described
from audiorec.retagging.job import restore as restore
from audiorec.retagging.job import retag as retag
