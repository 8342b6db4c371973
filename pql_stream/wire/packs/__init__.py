"""Model packs as YAML: reading one, with every problem at once, and finding the shipped ones."""

from pql_stream.wire.packs.document import PACK_BYTES_MAX, parse_pack
from pql_stream.wire.packs.plain import dump_pack
from pql_stream.wire.packs.shipped import load_pack, load_pack_file, shipped_packs

__all__ = ["PACK_BYTES_MAX", "dump_pack", "load_pack", "load_pack_file", "parse_pack", "shipped_packs"]
