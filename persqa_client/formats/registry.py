"""The formats by name. Each later layout adds itself here."""

from __future__ import annotations

from persqa_client.formats.axolotl import AXOLOTL
from persqa_client.formats.captions import CAPTIONS
from persqa_client.formats.concept_pairs import MCLLAVA, YOLLAVA
from persqa_client.formats.layout import Layout, PackedFormat
from persqa_client.formats.llamafactory import LLAMAFACTORY
from persqa_client.formats.llava import LLAVA
from persqa_client.formats.openai_messages import OPENAI
from persqa_client.formats.parquet import PARQUET
from persqa_client.formats.rap import RAP
from persqa_client.formats.repic import REPIC
from persqa_client.formats.run_lines import JSONL
from persqa_client.formats.swift import SWIFT
from persqa_client.formats.trl import TRL
from persqa_client.formats.webdataset import WEBDATASET

AnyFormat = Layout | PackedFormat
LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (LLAVA, LLAMAFACTORY, SWIFT, TRL, OPENAI, AXOLOTL, YOLLAVA, MCLLAVA, RAP, REPIC, JSONL)
}
PACKED_FORMATS: dict[str, PackedFormat] = {format.name: format for format in (PARQUET, WEBDATASET, CAPTIONS)}
FORMATS: dict[str, AnyFormat] = {**LAYOUTS, **PACKED_FORMATS}
