"""
pql-stream: product events in, lead scores and qualified leads out.

The facade is the pure core and the errors. Importing it imports no Faust, opens nothing and reads no environment.
"""

from pql_stream.core.changes import Contribution, Qualification, ScoreChange
from pql_stream.core.events import ProductEvent
from pql_stream.core.packs import CompiledPack, ModelPack, compile_pack
from pql_stream.core.refs import EventRef
from pql_stream.core.states import LeadState, Step
from pql_stream.core.transition import advance, contributions
from pql_stream.errors import InvalidEvent, InvalidPack, InvalidSettings, InvalidState, PqlError

__version__ = "0.1.0"

__all__ = [
    "CompiledPack",
    "Contribution",
    "EventRef",
    "InvalidEvent",
    "InvalidPack",
    "InvalidSettings",
    "InvalidState",
    "LeadState",
    "ModelPack",
    "PqlError",
    "ProductEvent",
    "Qualification",
    "ScoreChange",
    "Step",
    "__version__",
    "advance",
    "compile_pack",
    "contributions",
]
