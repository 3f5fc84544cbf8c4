"""``python -m persqa_client`` is the ``persqa`` command."""

from persqa_client.cli.start import main

main()
