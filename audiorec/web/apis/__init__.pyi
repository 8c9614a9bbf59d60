from audiorec.web.apis.messages import ApiReply as ApiReply
from audiorec.web.apis.messages import ApiRequest as ApiRequest
from audiorec.web.apis.routes import APIS as APIS
from audiorec.web.apis.routes import Route as Route
from audiorec.web.apis.snapshot import Snapshot as Snapshot
from audiorec.web.apis.snapshot import SnapshotSources as SnapshotSources
