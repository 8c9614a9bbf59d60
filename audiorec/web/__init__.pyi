from audiorec.web.server import LOOPBACK as LOOPBACK
from audiorec.web.server import serve as serve
