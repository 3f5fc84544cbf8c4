"""``python -m persqa_client``: the same as the ``persqa`` command."""

from persqa_client.cli.main import app

app(prog_name="persqa")
