from audiorec.web.limits import RequestLimits as RequestLimits
from audiorec.web.server import LOOPBACK as LOOPBACK
from audiorec.web.server import Opener as Opener
from audiorec.web.server import serve as serve
