"""``python -m persqa_client`` is the ``persqa`` command."""

from persqa_client.cli.main import app

app(prog_name="persqa")
