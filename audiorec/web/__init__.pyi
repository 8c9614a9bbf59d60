from audiorec.web import apis as apis
from audiorec.web.limits import RequestLimits as RequestLimits
from audiorec.web.server import LOOPBACK as LOOPBACK
from audiorec.web.server import Opener as Opener
from audiorec.web.server import PageSettings as PageSettings
from audiorec.web.server import read_token as read_token
from audiorec.web.server import serve as serve
from audiorec.web.server import serve_apis as serve_apis
