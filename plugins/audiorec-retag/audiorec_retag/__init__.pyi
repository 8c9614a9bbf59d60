from audiorec_retag.formats import WRITABLE as WRITABLE
from audiorec_retag.job import FIELDS as FIELDS
from audiorec_retag.job import Retagged as Retagged
from audiorec_retag.job import Retagging as Retagging
from audiorec_retag.job import described as described
from audiorec_retag.job import restore as restore
from audiorec_retag.job import retag as retag
